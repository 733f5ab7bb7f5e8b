"""What a model thought at one token of its answer, and what else it might have said. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from core.experiments.report.strips import NATS_PER_BIT
from tui.answering.answers import Answer
from tui.shell.format import decimal
from tui.shell.glyphs import Glyphs
from tui.shell.printable import printable
from tui.shell.tones import Piece, ToneLine


def stepped(answer: Answer, cursor: int | None, by: int) -> int | None:
    """Return the token that is `by` further, from either end where there is no cursor yet."""
    if not answer.num_tokens:
        return None
    last = answer.num_tokens - 1
    if cursor is None:
        return 0 if by > 0 else last
    return min(max(cursor + by, 0), last)


def ids_at(answer: Answer, index: int) -> list[int]:
    """Return the token at a place and its alternatives, each once."""
    return list(dict.fromkeys([answer.ids[index], *(other for other, _ in answer.tops[index])]))


def token_lines(
    answer: Answer, index: int, names: Mapping[int, str], glyphs: Glyphs
) -> tuple[ToneLine, ToneLine]:
    """Return two lines on the token at `index`: what it cost, and the likeliest in its place.

    names: the texts of token ids, as far as they are known yet.
    """
    own = answer.ids[index]
    head = (
        Piece(f"token {index + 1} of {answer.num_tokens}  ", "quiet"),
        Piece(_named(own, names), "active"),
        Piece(f"  id {own}", "quiet"),
    )
    if answer.is_forced[index]:
        told = "  written by a tool: the model chose nothing here"
        return ToneLine((*head, Piece(told, "warning"))), ToneLine((Piece(""),))
    p = math.exp(-answer.surprisal_nats[index])
    figures = (
        f"  p {_percent(p)}"
        f"  surprisal {_bits(answer.surprisal_nats[index])}"
        f"  entropy {_bits(answer.entropy_nats[index])}"
    )
    return ToneLine((*head, Piece(figures))), _alternatives(answer, index, names, glyphs)


def _alternatives(answer: Answer, index: int, names: Mapping[int, str], glyphs: Glyphs) -> ToneLine:
    pieces = [Piece("likeliest  ", "quiet")]
    for other, p in answer.tops[index]:
        is_own = other == answer.ids[index]
        mark = f"{glyphs.cursor} " if is_own else ""
        text = f"{mark}{_named(other, names)} {_percent(p)}"
        pieces += [Piece(text, "active" if is_own else "plain"), Piece("   ")]
    if answer.ids[index] not in {other for other, _ in answer.tops[index]}:
        pieces.append(Piece("the drawn one is none of these", "warning"))
    return ToneLine(tuple(pieces))


def _named(token_id: int, names: Mapping[int, str]) -> str:
    name = names.get(token_id)
    if name is None:
        return f"#{token_id}"
    return '"' + printable(name.replace("\n", "\\n").replace("\t", "\\t")) + '"'


def _percent(p: float) -> str:
    return f"{100 * p:.1f}%" if p >= 0.001 else "<0.1%"


def _bits(nats: float) -> str:
    return f"{decimal(nats / NATS_PER_BIT, 2)} bits"

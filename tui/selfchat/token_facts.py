"""What the model thought where it took a token: figures and alternatives as lines. Pure."""

from __future__ import annotations

import math

from core.experiments.report.strips import NATS_PER_BIT, height_of
from core.experiments.selfchat.transcript import TokenTrace
from core.inspection.visible import quoted
from core.tokenizer import Tokenizer
from tui.selfchat.strip import level_tone
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, ToneLine

EMPTY = ToneLine((Piece(""),))
NOTHING = (
    ToneLine((Piece("Enter or Tab goes to the text,", "quiet"),)),
    ToneLine((Piece("left and right from token to token;", "quiet"),)),
    ToneLine((Piece("what is known of the token stands here.", "quiet"),)),
)


def token_lines(
    tokens: TokenTrace, index: int, tokenizer: Tokenizer | None, width: int, glyphs: Glyphs
) -> tuple[ToneLine, ...]:
    """Return three lines on a token: how sure, how surprising, and what it could have been."""
    id_ = tokens.ids[index]
    name = _named(id_, tokenizer)
    head = (Piece(name, "strong"), Piece(f"  id {id_}", "quiet"))
    if tokens.is_forced[index]:
        written = Piece("  written by a tool: nothing was drawn", "tool")
        return ToneLine((*head, written)), EMPTY, EMPTY
    return (
        ToneLine((*head, *_entropy(tokens, index))),
        ToneLine(_surprisal(tokens, index)),
        ToneLine(_alternatives(tokens, index, tokenizer, width, glyphs)),
    )


def _entropy(tokens: TokenTrace, index: int) -> tuple[Piece, ...]:
    nats = tokens.entropy_nats[index]
    bits = nats / NATS_PER_BIT
    return (
        Piece("  entropy ", "quiet"),
        Piece(f"{bits:.2f} bits", level_tone(bits)),
        Piece(f" = {nats:.2f} nats", "quiet"),
    )


def _surprisal(tokens: TokenTrace, index: int) -> tuple[Piece, ...]:
    pieces = [
        Piece("surprisal ", "quiet"),
        Piece(f"{tokens.surprisal_nats[index] / NATS_PER_BIT:.2f} bits"),
        Piece("  p ", "quiet"),
        Piece(f"{100 * probability_of(tokens, index):.3g}%"),
        Piece("  rank ", "quiet"),
        Piece(str(tokens.rank[index])),
    ]
    if tokens.other_surprisal_nats is not None:
        other = tokens.other_surprisal_nats[index] / NATS_PER_BIT
        pieces += [Piece("  to the other ", "quiet"), Piece(f"{other:.2f} bits")]
    return tuple(pieces)


def probability_of(tokens: TokenTrace, index: int) -> float:
    """Return the probability that the model gave to the token, at temperature 1."""
    return math.exp(-tokens.surprisal_nats[index])


def _alternatives(
    tokens: TokenTrace, index: int, tokenizer: Tokenizer | None, width: int, glyphs: Glyphs
) -> tuple[Piece, ...]:
    if not tokens.top_ids:
        return (Piece("alternatives were not kept", "quiet"),)
    pieces: list[Piece] = []
    used = 0
    for id_, share in zip(tokens.top_ids[index], tokens.top_probs[index], strict=True):
        bar = glyphs.ramp[height_of(share, 1.0, len(glyphs.ramp))]
        found = [
            Piece(f"{bar} ", "active" if id_ == tokens.ids[index] else "quiet"),
            Piece(_named(id_, tokenizer), "strong" if id_ == tokens.ids[index] else "plain"),
            Piece(f" {100 * share:.3g}%   ", "quiet"),
        ]
        used += sum(len(piece.text) for piece in found)
        if used > width and pieces:
            break
        pieces += found
    return tuple(pieces)


def _named(id_: int, tokenizer: Tokenizer | None) -> str:
    return f"#{id_}" if tokenizer is None else quoted(tokenizer.token_bytes(id_))

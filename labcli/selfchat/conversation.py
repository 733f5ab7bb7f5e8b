"""One conversation as a terminal shows it: who said what, and how unsure they were. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from core.experiments.measures.entropy import mean_entropy_bits, perplexity
from core.experiments.measures.summary import Summary
from core.experiments.report.figures import END_WORDS
from core.experiments.report.pieces import pieces_of
from core.experiments.report.strips import entropies_bits, level_of, token_scale_bits
from core.experiments.selfchat.transcript import Conversation, Experiment, Setting, Turn
from core.tokenizer import Tokenizer
from labcli.selfchat.look import Look, plain
from labcli.text.styled import LEVELS, Cell, Style, cells_of
from labcli.text.terminal import printable
from runs.errors import NotFound

INDENT = "  "


def render_conversation(
    experiment: Experiment,
    summary: Summary,
    number: int,
    look: Look,
    tokenizer: Tokenizer | None = None,
) -> str:
    """Return a conversation turn by turn; with a tokenizer, the text is coloured token by token.

    Raises:
        NotFound: there is no conversation of this number.
    """
    one = find_conversation(experiment, number)
    name = next(own.name for own in summary.settings if own.setting.index == one.setting)
    setting = next(own for own in experiment.settings if own.index == one.setting)
    top = token_scale_bits(experiment)
    ended = "" if one.end is None else f" Ended {END_WORDS[one.end]}."
    lines = [
        *(look.paint(line, Style.BOLD) for line in look.wrapped(f"#{number} {one.topic}")),
        *look.wrapped(f"{name}, seed {one.seed}, {len(one.turns)} turns.{ended}"),
    ]
    for turn in one.turns:
        lines += ["", *_turn(turn, setting, look, top, tokenizer)]
    return "\n".join([*lines, "", *look.legend(top)])


def find_conversation(experiment: Experiment, number: int) -> Conversation:
    """Return the conversation of a number.

    Raises:
        NotFound: there is none.
    """
    known = {one.number: one for one in experiment.conversations}
    if number not in known:
        last = max(known, default=None)
        there_is = "there is none yet" if last is None else f"they go from {min(known)} to {last}"
        raise NotFound(f"no conversation {number}; {there_is}")
    return known[number]


def _turn(
    turn: Turn, setting: Setting, look: Look, top: float, tokenizer: Tokenizer | None
) -> Iterator[str]:
    model = setting.model_a if turn.side == "a" else setting.model_b
    head = f"{turn.side.upper()} {look.glyphs.separator} {plain(model)}"
    yield from (look.paint(line, Style.BOLD) for line in look.wrapped(head))
    for line in _lines(_cells(turn, tokenizer)):
        yield from look.wrapped_cells(line, INDENT, INDENT)
    values = entropies_bits(turn.tokens)
    if values:
        yield INDENT + look.strip(values, look.width - len(INDENT), top)
    yield from (
        look.paint(line, Style.DIM) for line in look.wrapped(_figures(turn), INDENT, INDENT)
    )


def _figures(turn: Turn) -> str:
    words = [f"turn {turn.index + 1}", f"{len(turn.tokens.ids)} tokens"]
    bits, choices = mean_entropy_bits([turn]), perplexity([turn])
    if bits is not None:
        words.append(f"{bits:.2f} bits per token")
    if choices is not None:
        words.append(f"perplexity {choices:.2f}")
    words.append("cut at its length" if turn.finish == "length" else "ended by itself")
    return ", ".join(words)


def _cells(turn: Turn, tokenizer: Tokenizer | None) -> list[Cell]:
    if tokenizer is None:
        return list(cells_of(_shown(turn.text), 0, Style.PLAIN))
    cells: list[Cell] = []
    pieces = pieces_of(turn.tokens.ids, tokenizer)
    for piece, bits in zip(pieces, entropies_bits(turn.tokens), strict=True):
        style = Style.ITALIC if bits is None else LEVELS[level_of(bits)]
        cells += cells_of(_shown(piece), 0, style)
    return cells


def _shown(text: str) -> str:
    return printable(text).replace("\t", " ")


def _lines(cells: list[Cell]) -> Iterator[list[Cell]]:
    line: list[Cell] = []
    for cell in cells:
        if cell.char == "\n":
            yield line
            line = []
        else:
            line.append(cell)
    yield line

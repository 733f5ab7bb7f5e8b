"""The readable forms of tokens, trees, merges and reasons. Pure functions; labcli/tok/objects.py
holds what --json shows of the same things.

Every text that is shown goes through `visible`, so what a user pastes cannot drive the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.inspection.apart import why_apart
from core.inspection.conversation import ConversationToken
from core.inspection.explained import Explained
from core.inspection.merges import Step, merge_steps, pieces_after
from core.inspection.nearest import NearToken
from core.inspection.visible import visible
from core.tokenizer import Tokenizer
from labcli.text.cells import cut, grid, width
from tui.shell.format import counted
from tui.tokens.words import apart_text, brief

MAX_TOKEN_CELLS = 24
# Of UTF-8.
MAX_CHAR_BYTES = 4
# The dark background colours that any 16-colour terminal shows beside white letters.
_BACKGROUNDS = ("44", "45", "42", "46")
SEPARATOR = "|"


def summary_line(explained: Explained, name: str, vocab_size: int) -> str:
    """Return the counts of a text in one line."""
    tokens = explained.num_tokens
    parts = [
        counted(tokens, "token"),
        counted(explained.num_words, "word"),
        counted(explained.num_bytes, "byte"),
        *([f"{explained.num_bytes / tokens:.2f} bytes/token"] if tokens else []),
        f"{name} ({vocab_size:,} ids)",
    ]
    return "  ".join(parts)


def ribbon(tokens: Sequence[bytes], *, columns: int, num_lines: int, is_coloured: bool) -> str:
    """Return tokens in a row, separated and on coloured grounds, in at most `num_lines` lines."""
    lines: list[list[str]] = [[]]
    used = 0
    for index, token in enumerate(tokens):
        text = visible(token[: MAX_CHAR_BYTES * columns])
        # A token that is wider than a line has one to itself and is cut there.
        text = cut(text, columns)
        if used and used + len(SEPARATOR) + width(text) > columns:
            if len(lines) == num_lines:
                break
            lines.append([])
            used = 0
        used += width(text) + (len(SEPARATOR) if lines[-1] else 0)
        ground = _BACKGROUNDS[index % len(_BACKGROUNDS)]
        lines[-1].append(f"\x1b[97;{ground}m{text}\x1b[0m" if is_coloured else text)
    return "\n".join(SEPARATOR.join(line) for line in lines)


def token_table(
    tokenizer: Tokenizer, explained: Explained, indices: range, max_width: int | None
) -> str:
    """Return a row per token: its id, its bytes and why it is not one with the next."""
    rows = [
        (
            str(index),
            str(explained.ids[index]),
            cut(brief(explained.token(index)), MAX_TOKEN_CELLS),
            f"{explained.starts[index]}-{explained.ends[index]}",
            apart_text(why_apart(tokenizer, explained, index)),
        )
        for index in indices
    ]
    header = ("#", "id", "token", "bytes", "why it is apart from the next")
    return grid(header, rows, right="rr", max_width=max_width)


def steps_table(tokenizer: Tokenizer, word: bytes, max_width: int | None) -> str:
    """Return a row per merge of a word with the pieces that it leaves."""
    steps = merge_steps(tokenizer, word)
    rows = [
        (str(number), str(step.rank), _joined(word, step), pieces)
        for number, (step, pieces) in enumerate(
            zip(steps, _pieces(word, steps), strict=True), start=1
        )
    ]
    if not rows:
        return "no merges: every byte stays a token"
    return grid(("step", "rank", "merge", "pieces"), rows, right="rr", max_width=max_width)


def _joined(word: bytes, step: Step) -> str:
    left, right = word[step.start : step.middle], word[step.middle : step.end]
    return f"{brief(left)} + {brief(right)}"


def _pieces(word: bytes, steps: Sequence[Step]) -> list[str]:
    after = (pieces_after(word, steps[: number + 1]) for number in range(len(steps)))
    return [SEPARATOR.join(map(visible, pieces)) for pieces in after]


def facts_text(facts: Sequence[tuple[str, str]], max_width: int | None) -> str:
    """Return names and values under one another."""
    wanted = max(len(name) for name, _ in facts)
    lines = [f"{name.ljust(wanted)}  {value}" for name, value in facts]
    return "\n".join(line if max_width is None else cut(line, max_width) for line in lines)


def near_table(near: Sequence[NearToken], max_width: int | None) -> str:
    """Return a row per token that is near another."""
    rows = [(item.relation, str(item.id), str(item.distance), brief(item.data)) for item in near]
    return grid(("relation", "id", "edits", "token"), rows, right=" rr", max_width=max_width)


def conversation_table(rows: Sequence[ConversationToken], max_width: int | None) -> str:
    """Return a row per token of a conversation, with who says it and whether it is learnt."""
    shown = [
        (
            str(row.index),
            str(row.id),
            "learn" if row.mask else "-",
            "-" if row.message is None else str(row.message),
            row.role or "-",
            row.part or ("special" if row.is_special else "-"),
            visible(row.data) if row.is_special else brief(row.data),
        )
        for row in rows
    ]
    header = ("#", "id", "loss", "turn", "role", "part", "token")
    return grid(header, shown, right="rr r", max_width=max_width)

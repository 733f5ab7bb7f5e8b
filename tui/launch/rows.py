"""The launch form line by line: marks, names, values, and what a row is for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tui.launch.draft import Draft
from tui.launch.fields import Field, FormLine, Heading, SectionHeading
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, Tone, ToneLine

NAME_WIDTH = 24
VALUE_WIDTH = 14
CHANGED, WRONG = "*", "!"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormState:
    """What the rows show: the draft, what settings come to, and what is wrong with which."""

    draft: Draft = field(default_factory=Draft)
    effective: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    def text(self, item: Field) -> str:
        """Return what a row holds."""
        given = self.draft.texts.get(item.key)
        return given if given is not None else self.effective.get(item.key, item.default)


def form_row(
    line: FormLine, state: FormState, *, width: int, is_cursor: bool, glyphs: Glyphs
) -> ToneLine:
    """Return one line of the form."""
    if isinstance(line, Heading):
        about = glyphs.cut(line.about, max(width - len(line.name) - 3, 0))
        return ToneLine((Piece(f" {line.name}  ", "strong"), Piece(about, "quiet")))
    if isinstance(line, SectionHeading):
        rule = glyphs.bar_empty * max(min(width, NAME_WIDTH + VALUE_WIDTH) - len(line.name) - 4, 0)
        return ToneLine((Piece(f"  {line.name} ", "active"), Piece(rule, "quiet")))
    is_changed = line.key in state.draft.texts
    is_wrong = line.key in state.problems
    mark = WRONG if is_wrong else CHANGED if is_changed else " "
    tone: Tone = "error" if is_wrong else "active" if is_changed else "plain"
    value = state.text(line)
    room = VALUE_WIDTH if width > NAME_WIDTH + VALUE_WIDTH + 12 else width - NAME_WIDTH - 3
    shown = glyphs.cut(value or glyphs.absent, max(room, 4))
    name = glyphs.cut(line.name, NAME_WIDTH)
    pieces = [
        Piece(glyphs.cursor if is_cursor else " ", "active"),
        Piece(mark, tone),
        Piece(f"{name:<{NAME_WIDTH}} ", tone if is_changed or is_wrong else "plain"),
        Piece(shown.ljust(room), tone if value else "quiet"),
    ]
    rest = width - sum(len(piece.text) for piece in pieces) - 1
    pieces.append(Piece(" " + _rest(line, state, rest, glyphs), "quiet"))
    return ToneLine(tuple(pieces))


def row_note(item: Field, state: FormState) -> str:
    """Return what a row is for and what may be typed; the default where it was changed."""
    told = f"{item.help} Takes {item.kind}"
    if item.choices and not item.is_open:
        told += f": {', '.join(item.choices)}"
    elif item.choices:
        told += f", such as {', '.join(item.choices[:6])}"
    if item.key in state.draft.texts and item.default:
        told += f"; without the change: {item.default}"
    return told + "."


def problem_note(item: Field | None, state: FormState) -> str:
    """Return what is wrong with a row, else which rows are wrong; "" where none is."""
    if item is not None and item.key in state.problems:
        return state.problems[item.key]
    named = [key for key in state.problems if key]
    if named:
        return f"{', '.join(named[:3])}: {state.problems[named[0]]}"
    return next(iter(state.problems.values()), "")


def _rest(item: Field, state: FormState, room: int, glyphs: Glyphs) -> str:
    """Return what is left to say of a row: its default where it was changed, else its purpose."""
    if item.key in state.draft.texts and item.default:
        return glyphs.cut(f"not {item.default}", max(room, 0))
    return glyphs.cut(item.help, room) if room > 20 else ""

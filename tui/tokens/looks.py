"""What decides how a token, or a row of tokens, looks. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tui.tokens.rows import RowLayout
from tui.tokens.segmenting import Column

NUM_COLOURS = 5
OVERLAYS = frozenset({"token--special", "token--cut", "token--apart", "token--cursor"})
STYLES = (
    *(f"token--{number}" for number in range(NUM_COLOURS)),
    "token--learned",
    "token--context",
    *sorted(OVERLAYS),
)
RowLook = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The rows that are visible, and how wide they are."""

    top: int
    height: int
    width: int


def row_looks(
    column: Column | None, rows: RowLayout | None, window: Window, cursor: int
) -> list[RowLook]:
    """Return what decides the look of each visible row: rows with equal ones look the same."""
    looks: list[RowLook] = []
    for row in range(window.top, window.top + window.height):
        if column is None or rows is None or row >= rows.num_rows:
            looks.append(())
            continue
        first, end = rows.span(row)
        kinds = (column.is_apart, column.rows.learned, column.rows.cuts_character)
        looks.append(
            (
                window.width,
                column.vocabulary,
                int(rows.places[first]),
                column.rows.ids[first:end].tobytes(),
                *(None if kind is None else kind[first:end].tobytes() for kind in kinds),
                cursor - first if first <= cursor < end else None,
            )
        )
    return looks


def style_names(column: Column, index: int, place: int, cursor: int) -> tuple[str, ...]:
    """Return the styles of a token, the ground first; `place` is that in its line of the text."""
    rows = column.rows
    names = [f"token--{place % NUM_COLOURS}"]
    if rows.learned is not None:
        names.append("token--learned" if rows.learned[index] else "token--context")
    if column.is_apart is not None and column.is_apart[index]:
        names.append("token--apart")
    if rows.is_special[index]:
        names.append("token--special")
    if rows.cuts_character[index]:
        names.append("token--cut")
    if index == cursor:
        names.append("token--cursor")
    return tuple(names)

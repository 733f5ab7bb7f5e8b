"""`runs list` with columns and groups: rows for programs, tables for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labcli.shown.runs import NOT_COMPARABLE, list_row, validation_marks
from labcli.text.figures import ABSENT, seconds, when
from labcli.text.tables import render
from runs.views.card import RunCard
from runs.views.columns import Group, summary_of, value_of, values
from runs.views.run_keys import Key, Value, kind_of, text_of
from tui.analysis.words import figure_text


def rows_of(cards: Sequence[RunCard], columns: Sequence[Key]) -> list[dict[str, Any]]:
    """Return `runs list --json`; with columns, each run has their values under "columns"."""
    rows = [list_row(card.view) for card in cards]
    if columns:
        for row, card in zip(rows, cards, strict=True):
            row["columns"] = values(card, columns)
    return rows


def group_rows(groups: Sequence[Group], by: Key, columns: Sequence[Key]) -> list[dict[str, Any]]:
    """Return `runs list --group-by --json`: a value, figures over its runs, and the runs."""
    return [
        {
            "key": by.text,
            "value": group.value,
            "num_runs": len(group.cards),
            "figures": {key.text: summary_of(group.cards, key) for key in columns},
            "runs": rows_of(group.cards, columns),
        }
        for group in groups
    ]


def flat_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with their columns beside the rest, as CSV wants them."""
    return [{**row, **row.get("columns", {})} for row in rows]


def columns_table(
    cards: Sequence[RunCard], columns: Sequence[Key], *, width: int | None = None
) -> str:
    """Return the table of runs with the columns that were asked for."""
    marks = _marks(cards)
    cells = [_cells(card, columns, marks) for card in cards]
    table = render(_header(columns), cells, right=_right(cards, columns), width=width)
    return _with_note(table, marks, columns)


def groups_table(groups: Sequence[Group], by: Key, columns: Sequence[Key]) -> str:
    """Return a table of each group under its value, with the mean of every number column."""
    blocks = []
    cards = [card for group in groups for card in group.cards]
    right, marks = _right(cards, columns), _marks(cards)
    table: list[list[str]] = []
    for group in groups:
        table += [_cells(card, columns, marks) for card in group.cards]
        table.append(["", "mean", *(_spread(group, key) for key in columns)])
    lines = render(_header(columns), table, right=right).splitlines()
    at = 1
    for group in groups:
        num = len(group.cards)
        blocks.append(f"{by.text}={text_of(group.value)}  ({num} run{'s' * (num != 1)})")
        rows = lines[at : at + num + 1]
        blocks += rows if num > 1 else rows[:-1]
        at += num + 1
    return _with_note("\n".join([lines[0], *blocks]), marks, columns)


def shown(value: Value, key: Key) -> str:
    """Return a value as a cell: counts and figures short, times readable."""
    if value is None:
        return ABSENT
    if isinstance(value, bool) or not isinstance(value, float):
        return text_of(value) or ABSENT
    kind = kind_of(key)
    if kind == "moment":
        return when(value)
    if kind == "duration":
        return seconds(value)
    return figure_text(value)


def _cells(card: RunCard, columns: Sequence[Key], marks: Mapping[str, str]) -> list[str]:
    view = card.view
    name = view.slug if view.name == view.slug else f"{view.slug} ({view.name})"
    cells = [
        shown(value_of(card, key), key) + (marks[view.run_id] if _is_bpb(key) else "")
        for key in columns
    ]
    return [name, view.state, *cells]


def _marks(cards: Sequence[RunCard]) -> Mapping[str, str]:
    marks = validation_marks([card.view.val_sha256 for card in cards])
    return {card.view.run_id: mark for card, mark in zip(cards, marks, strict=True)}


def _is_bpb(key: Key) -> bool:
    return key.name.rpartition(".")[2] == "val_bpb"


def _with_note(table: str, marks: Mapping[str, str], columns: Sequence[Key]) -> str:
    is_marked = any(marks.values()) and any(map(_is_bpb, columns))
    return f"{table}\n{NOT_COMPARABLE}" if is_marked else table


def _header(columns: Sequence[Key]) -> list[str]:
    return ["RUN", "STATE", *(key.text.upper() for key in columns)]


def _right(cards: Sequence[RunCard], columns: Sequence[Key]) -> str:
    def letter(key: Key) -> str:
        found = {type(value_of(card, key)) for card in cards} - {type(None)}
        return "r" if found == {float} else "l"

    return "ll" + "".join(letter(key) for key in columns)


def _spread(group: Group, key: Key) -> str:
    figures = summary_of(group.cards, key)
    if figures is None or kind_of(key) == "moment":
        return ""
    mean = shown(figures["mean"], key)
    if figures["num"] < 2 or kind_of(key) == "duration" or figures["sd"] == 0:
        return mean
    return f"{mean} +- {figures['sd']:.2g}"

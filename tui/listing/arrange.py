"""Which runs the table shows, in which order and under which headings. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runs.views.run_view import RunView
from tui.listing.columns import Order, Sortable, order_of, recipe_of

Grouping = Literal["recipe", "state", "tag"]
GROUPINGS: tuple[Grouping | None, ...] = (None, "recipe", "state", "tag")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What the runs below it have in common."""

    text: str
    num_runs: int


Row = RunView | Heading


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """How a person wants to see the runs; newest first where no order is given."""

    order: Order | None = None
    grouping: Grouping | None = None


def arrange(
    runs: Sequence[RunView],
    arrangement: Arrangement,
    passing: Collection[Path] | None = None,
) -> tuple[Row, ...]:
    """Return the rows of the table; `runs` come newest first, None lets all of them pass."""
    kept = list(runs) if passing is None else [run for run in runs if run.path in passing]
    if arrangement.order is not None:
        kept = in_order(kept, arrangement.order)
    if arrangement.grouping is None:
        return tuple(kept)
    groups: dict[str, list[RunView]] = {}
    for run in kept:
        groups.setdefault(_group_of(run, arrangement.grouping), []).append(run)
    rows: list[Row] = []
    for name in groups if arrangement.grouping == "state" else sorted(groups):
        rows.append(Heading(text=name, num_runs=len(groups[name])))
        rows += groups[name]
    return tuple(rows)


def in_order(runs: Sequence[RunView], order: Order) -> list[RunView]:
    """Return the runs by one column; those that have nothing there come last either way."""
    found = [(order_of(run, order.key), run) for run in runs]
    having: list[tuple[Sortable, RunView]] = [
        (value, run) for value, run in found if value is not None
    ]
    having.sort(key=lambda pair: pair[0], reverse=order.is_descending)
    return [run for _, run in having] + [run for value, run in found if value is None]


def next_grouping(now: Grouping | None) -> Grouping | None:
    """Return the grouping after this one."""
    return GROUPINGS[(GROUPINGS.index(now) + 1) % len(GROUPINGS)]


def _group_of(run: RunView, grouping: Grouping) -> str:
    match grouping:
        case "recipe":
            return recipe_of(run) or "no recipe"
        case "state":
            return run.state
        case "tag":
            return " ".join(run.tags) or "no tag"

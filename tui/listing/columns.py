"""The columns of the runs table: what each shows, how runs are sorted by it, which ones fit. Pure.

Columns are ranked: a narrow terminal shows the first ranks, a wide one all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from runs.views.run_view import RunView
from runs.views.states import ACTIVE
from tui.live import present
from tui.shell import format as fmt
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Tone, state_tone

Cell = tuple[str, Tone]
Sortable = tuple[float, str]
_BAR_WIDTH = 16
# Asking ten thousand runs would keep a key waiting.
_MOST_ASKED = 2000
# Columns of higher ranks make room for names that would be cut.
_LAST_RANK_BEFORE_NAMES = 4
# What goes on comes first, then what went wrong, then what is over.
_STATE_ORDER = (
    "running", "stopping", "stalled", "queued", "crashed", "killed", "failed", "lost",
    "unreadable", "stopped", "budget", "pending", "finished",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """What a cell may depend on beside its run; `now` is in Unix seconds."""

    glyphs: Glyphs
    now: float = 0.0
    focused: Path | None = None
    marked: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column; `rank` 0 is always shown, `spare` is how much wider it may become.

    order: what runs are sorted by; None for a run that has nothing there.
    has_descending_first: whether the first sort by it puts the largest on top.
    """

    key: str
    title: str
    about: str
    width: int
    rank: int
    cell: Callable[[RunView, Looking], Cell]
    order: Callable[[RunView], Sortable | None] | None = None
    is_number: bool = False
    spare: int = 0
    has_descending_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """By which column runs are sorted, and which way."""

    key: str
    is_descending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the listed runs ask of the columns: room for the longest name, and what is empty."""

    name_width: int = 0
    empty: frozenset[str] = frozenset()


def name_of(run: RunView) -> str:
    """Return what people call a run."""
    return run.name or run.slug or run.path.name


def recipe_of(run: RunView) -> str:
    """Return the recipe of a run with its preset."""
    return f"{run.recipe}/{run.preset}" if run.preset else run.recipe


def needs_of(runs: Iterable[RunView]) -> Needs:
    """Return what a listing of runs, of many the first ones, asks of the columns."""
    name_width, empty = 0, {"alerts", "eta"}
    for run in islice(runs, _MOST_ASKED):
        name_width = max(name_width, len(name_of(run)) + 1)
        if run.num_alerts:
            empty.discard("alerts")
        if run.state in ACTIVE:
            empty.discard("eta")
    return Needs(name_width=name_width, empty=frozenset(empty))


def fitting(room: int, order: Order | None = None, needs: Needs | None = None) -> dict[str, int]:
    """Return the widths of the columns that `room` characters hold, in their places.

    The column that the runs are sorted by is always among them. Where names would be cut, columns
    that hold nothing, and those of high ranks, make room for them.
    """
    needs = needs or Needs()
    name = BY_KEY["name"]
    name_width = min(max(needs.name_width, name.width), name.width + name.spare)
    widths = _fitting(room, order, name_width, frozenset())
    if widths["name"] < name_width:
        return _fitting(room, order, name_width, needs.empty)
    return widths


def _fitting(
    room: int, order: Order | None, name_width: int, left_out: frozenset[str]
) -> dict[str, int]:
    wanted = sorted(COLUMNS, key=lambda column: (column.rank, COLUMNS.index(column)))
    sorted_by = order.key if order else None
    chosen = [column for column in wanted if column.rank == 0 or column.key == sorted_by]
    left = room - sum(column.width for column in chosen)
    for column in wanted:
        if column in chosen or column.key in left_out:
            continue
        reserved = name_width - BY_KEY["name"].width if column.rank > _LAST_RANK_BEFORE_NAMES else 0
        if column.width > left - reserved:
            break
        chosen.append(column)
        left -= column.width
    widths = {column.key: column.width for column in COLUMNS if column in chosen}
    for column in COLUMNS:
        more = min(column.spare, max(left, 0)) if column in chosen else 0
        if more:
            widths[column.key] += more
            left -= more
    return widths


def order_of(run: RunView, key: str) -> Sortable | None:
    """Return what a run is sorted by under a column."""
    order = BY_KEY[key].order
    return None if order is None else order(run)


def next_order(now: Order | None, by: int) -> Order | None:
    """Return the order after (or before) this one in a round over the columns and no order."""
    sortable = [None, *(column.key for column in COLUMNS if column.order is not None)]
    here = sortable.index(now.key) if now and now.key in sortable else 0
    key = sortable[(here + by) % len(sortable)]
    return None if key is None else first_order(key)


def first_order(key: str) -> Order | None:
    """Return the order that the first wish to sort by a column means; None where it has none."""
    column = BY_KEY.get(key)
    if column is None or column.order is None:
        return None
    return Order(key=key, is_descending=column.has_descending_first)


def turned(order: Order) -> Order:
    """Return the order the other way round."""
    return Order(key=order.key, is_descending=not order.is_descending)


def _shown(run: RunView, looking: Looking) -> Cell:
    return (looking.glyphs.cursor if run.path == looking.focused else "", "active")


def _mark(run: RunView, looking: Looking) -> Cell:
    return (looking.glyphs.mark if run.path in looking.marked else "", "active")


def _state(run: RunView, looking: Looking) -> Cell:
    return (f"{looking.glyphs.state(run.state)} {run.state}", state_tone(run.state))


def _alerts(run: RunView, looking: Looking) -> Cell:
    num = run.num_alerts
    if not num:
        return ("", "plain")
    return (f"{looking.glyphs.alert}{num if num < 100 else '99'}", "warning")


def _name(run: RunView, looking: Looking) -> Cell:
    return (name_of(run), "strong" if run.path == looking.focused else "plain")


def _bar(run: RunView, looking: Looking) -> Cell:
    share = present.run_share(run)
    text = "" if share is None else looking.glyphs.bar(share, _BAR_WIDTH)
    return (text, state_tone(run.state))


def _done(run: RunView, _: Looking) -> Cell:
    share = present.run_share(run)
    return ("" if share is None else fmt.percent(share), "plain")


def _dollars(usd: float | None) -> str:
    if usd is None:
        return ""
    return f"${usd:.2f}" if usd < 99.995 else f"${fmt.compact(usd)}"


def _number(value: float | None) -> Sortable | None:
    # NaN is neither above nor below anything: it stands with those that have no value.
    return None if value is None or value != value else (value, "")


def _text(value: str | None) -> Sortable | None:
    return (0.0, value.lower()) if value else None


def _eta_s(run: RunView) -> float | None:
    stage = present.current_stage(run)
    return stage.eta_s if stage and present.run_eta(run) else None


def _stage_order(run: RunView) -> Sortable | None:
    names = [stage.stage for stage in run.stages]
    return (float(names.index(run.stage)), run.stage) if run.stage in names else None


def _metric(key: str) -> Callable[[RunView], Sortable | None]:
    return lambda run: _number(present.last_metric(run, key))


COLUMNS = (
    Column(key="shown", title="", about="", width=1, rank=0, cell=_shown),
    Column(key="mark", title="", about="marked", width=2, rank=0, cell=_mark),
    Column(
        key="state", title="state", about="state", width=13, rank=0, cell=_state,
        order=lambda run: (float(_STATE_ORDER.index(run.state)), ""),
    ),
    Column(
        key="alerts", title="", about="alerts", width=4, rank=2, cell=_alerts,
        order=lambda run: _number(float(run.num_alerts)), has_descending_first=True,
    ),
    Column(
        key="name", title="run", about="name", width=16, rank=0, spare=24, cell=_name,
        order=lambda run: _text(name_of(run)),
    ),
    Column(
        key="recipe", title="recipe", about="recipe", width=15, rank=9, spare=6,
        cell=lambda run, _: (recipe_of(run), "quiet"), order=lambda run: _text(recipe_of(run)),
    ),
    Column(
        key="stage", title="stage", about="stage", width=10, rank=1,
        cell=lambda run, _: (run.stage or "", "plain"), order=_stage_order,
    ),
    Column(
        key="bar", title="progress", about="progress", width=18, rank=11, cell=_bar,
    ),
    Column(
        key="done", title="done", about="share done", width=5, rank=1, is_number=True, cell=_done,
        order=lambda run: _number(present.run_share(run)), has_descending_first=True,
    ),
    Column(
        key="eta", title="ETA", about="time left", width=7, rank=1, is_number=True,
        cell=lambda run, _: (present.run_eta(run), "plain"),
        order=lambda run: _number(_eta_s(run)),
    ),
    Column(
        key="bpb", title="bpb", about="last bits per byte", width=7, rank=2, is_number=True,
        cell=lambda run, _: (fmt.decimal(run.val_bpb), "plain"),
        order=lambda run: _number(run.val_bpb),
    ),
    Column(
        key="best", title="best", about="best bits per byte", width=7, rank=7, is_number=True,
        cell=lambda run, _: (fmt.decimal(run.best_bpb), "plain"),
        order=lambda run: _number(run.best_bpb),
    ),
    Column(
        key="speed", title="tok/s", about="tokens a second", width=7, rank=3, is_number=True,
        cell=lambda run, _: (fmt.compact(present.last_metric(run, "tok_per_sec")), "plain"),
        order=_metric("tok_per_sec"), has_descending_first=True,
    ),
    Column(
        key="mfu", title="MFU", about="model FLOPs utilisation", width=5, rank=4, is_number=True,
        cell=lambda run, _: (fmt.percent(present.last_metric(run, "mfu")), "plain"),
        order=_metric("mfu"), has_descending_first=True,
    ),
    Column(
        key="usd", title="cost", about="cost", width=7, rank=8, is_number=True,
        cell=lambda run, _: (_dollars(run.usd), "plain"), order=lambda run: _number(run.usd),
        has_descending_first=True,
    ),
    Column(
        key="age", title="age", about="age", width=5, rank=6, is_number=True,
        cell=lambda run, looking: (fmt.age(looking.now - run.created_s), "quiet"),
        order=lambda run: (-run.created_s, ""),
    ),
    Column(
        key="tags", title="  tags", about="tags", width=14, rank=12, spare=60,
        cell=lambda run, _: ("  " + " ".join(run.tags) if run.tags else "", "quiet"),
        order=lambda run: _text(" ".join(run.tags)),
    ),
)  # fmt: skip
BY_KEY: Mapping[str, Column] = {column.key: column for column in COLUMNS}

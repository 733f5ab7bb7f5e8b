"""The runs of the dashboard: kept true at little cost, filtered, sorted, grouped, marked."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from runs.events import Eval
from runs.labels import add_tag
from runs.lineage.trash import trash_home
from runs.log import read_log
from runs.paths import LabHome
from runs.views.query import load_run
from runs.views.run_view import RunView
from tests.tui.builders import RunBuilder, Ticker, build_lab, build_run
from tests.tui.frames import dashboard, frame, lab_app, settled, until, until_text
from tui.listing.arrange import Arrangement, Heading, arrange
from tui.listing.columns import BY_KEY, COLUMNS, Needs, Order, fitting, needs_of, next_order
from tui.listing.filtering import FilterDesk, taken
from tui.listing.roster import LAP_S, Roster
from tui.screens.ask_text import AskTextScreen
from tui.screens.compare_runs import CompareScreen
from tui.screens.dashboard import DashboardScreen
from tui.screens.launch import LaunchScreen
from tui.screens.modal import ConfirmScreen
from tui.screens.run import RunScreen
from tui.shell.glyphs import UNICODE
from tui.widgets.filter_line import FilterHint

NUM_STEPS = 12


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that a run may take for its own."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> list[RunView]:
    """Runs in several states, newest first."""
    lab = build_lab(tmp_path_factory.mktemp("lab"), now=time.time(), num_steps=NUM_STEPS)
    home = LabHome(next(iter(lab.values())).run_dir.parent.parent)
    return list(Roster(home).look().runs)


def at_work(root: Path, name: str, pid: int) -> RunBuilder:
    """Return a run whose only stage is at work in a process."""
    run = build_run(root, t=time.time(), name=name, stages=("base",), seed=len(name))
    run.pid = pid
    run.supervised()
    with run.attempt("base"):
        pass
    return run


def names(screen: DashboardScreen) -> list[str]:
    """Return the names of the runs that are listed, in their order."""
    return [run.name for run in screen.table.rows if isinstance(run, RunView)]


def is_listed_first(screen: DashboardScreen, name: str) -> bool:
    """Return whether the first run of the table is the one of this name."""
    return names(screen)[:1] == [name]


@pytest.mark.parametrize("sorted_by", [None, "tags"])
def test_columns_fit_every_width_and_the_sorted_one_is_among_them(sorted_by: str | None) -> None:
    order = Order(key=sorted_by, is_descending=False) if sorted_by else None
    least = sum(column.width for column in COLUMNS if column.rank == 0 or column.key == sorted_by)
    for room in range(20, 300):
        widths = fitting(room, order)
        assert sum(widths.values()) <= max(room, least)
        assert {"mark", "state", "name", *([sorted_by] if sorted_by else [])} <= widths.keys()
    assert list(fitting(300)) == [column.key for column in COLUMNS]


def test_names_are_whole_before_what_is_empty_or_less_wanted_has_room(
    views: list[RunView],
) -> None:
    ended = [replace(run, state="finished", alerts=(), stages=(), name="a" * 25) for run in views]
    needs = needs_of(ended)
    assert needs == Needs(name_width=26, empty=frozenset({"alerts", "eta"}))
    narrow = fitting(79, None, needs)
    assert narrow["name"] >= 26
    assert {"stage", "done", "bpb", "speed", "mfu"} <= narrow.keys()
    assert {"alerts", "eta"} <= fitting(160, None, needs).keys()
    assert "eta" in fitting(79, None, needs_of([replace(ended[0], state="running")]))


def test_every_column_sorts_both_ways_with_what_it_lacks_last(views: list[RunView]) -> None:
    order, seen = next_order(None, 1), []
    while order is not None:
        key = order.key
        seen.append(key)
        for is_descending in (False, True):
            arrangement = Arrangement(order=Order(key=key, is_descending=is_descending))
            rows = [row for row in arrange(views, arrangement) if isinstance(row, RunView)]
            read = BY_KEY[key].order
            assert read is not None
            values = [read(row) for row in rows]
            there = [value for value in values if value is not None]
            assert there == sorted(there, reverse=is_descending)
            assert values[len(there) :] == [None] * (len(values) - len(there))
        order = next_order(order, 1)
    assert {"state", "name", "recipe", "stage", "done", "eta", "bpb", "best"} <= set(seen)
    assert {"speed", "mfu", "usd", "age", "tags", "alerts"} <= set(seen)


def test_groups_have_headings_that_count_their_runs(views: list[RunView]) -> None:
    rows = arrange(views, Arrangement(grouping="tag"))
    headings = {row.text: row.num_runs for row in rows if isinstance(row, Heading)}
    assert headings == {"baseline": 1, "d4 cpu": 1, "no tag": 1, "sweep": 1, "sweep d6": 1}
    only = {run.path for run in views if run.state == "failed"}
    assert arrange(views, Arrangement(grouping="state"), only) == (
        Heading(text="failed", num_runs=1),
        next(run for run in views if run.path in only),
    )


def test_a_filter_keeps_what_it_read_and_says_in_one_line_what_is_wrong(
    views: list[RunView],
) -> None:
    desk = FilterDesk()
    desk.take(views, time.time())
    passing = desk.passing("tag:sweep not state:failed")
    assert passing is not None and passing.paths is not None
    assert [run.name for run in views if run.path in passing.paths] == ["wide-batch"]
    for bad in ("val_bpb<", "nonsense=3", "(", "created>never"):
        wrong = desk.passing(bad)
        assert wrong is not None and wrong.paths is None
        assert wrong.problem and "\n" not in wrong.problem
    assert desk.passing("amber", is_stale=lambda: True) is None
    desk.take([replace(run, tags=("new",)) for run in views], time.time())
    again = desk.passing("tag:new")
    assert again is not None and again.paths == frozenset(run.path for run in views)


def test_a_suggestion_takes_the_place_of_the_word(views: list[RunView]) -> None:
    desk = FilterDesk()
    desk.take(views, time.time())
    names = {one.text: one for one in desk.suggestions("not sta", 7)}
    assert taken("not sta", names["state:"]) == ("not state:", 10)
    values = {one.text: one for one in desk.suggestions("state:fa and x", 8)}
    assert taken("state:fa and x", values["failed"]) == ("state:failed and x", 12)
    assert taken("state:fa", values["failed"]) == ("state:failed ", 13)


def test_the_best_of_a_run_is_measured_on_the_text_of_its_last(tmp_path: Path) -> None:
    run = build_run(tmp_path, t=time.time() - 60, name="two-texts", stages=("base",)).supervised()
    with run.attempt("base") as log:
        for step, bpb, text in ((1, 0.5, "aa"), (2, 1.25, "bb"), (3, 1.5, "bb")):
            log.append(Eval(step=step, val_bpb=bpb, val_sha256=text * 32))
    view = load_run(run.run_dir)
    assert (view.val_bpb, view.best_bpb) == (1.5, 1.25)


def test_a_look_costs_nothing_new_until_something_changes(
    tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    clock = Ticker(0.0)
    roster = Roster(LabHome(tmp_path), clock=clock)
    assert roster.look().runs == ()
    ended = build_run(tmp_path, t=time.time() - 90, name="ended", stages=("data",)).supervised()
    ended.stage("data", [])
    ended.ended("finished")
    assert [run.state for run in roster.look().runs] == ["finished"]
    before = roster.look()
    clock.t += LAP_S
    assert roster.look() is before
    add_tag(ended.run_dir, "kept")
    clock.t += LAP_S
    clock.t += LAP_S
    roster.look()
    assert roster.look().runs[0].tags == ("kept",)
    live = at_work(tmp_path, "live", bystander.pid)
    assert [run.state for run in roster.look().runs] == ["running", "finished"]
    bystander.kill()
    bystander.wait()
    assert [run.state for run in roster.look().runs] == ["crashed", "finished"]
    live.paths.run_json.write_text("{ torn")
    assert roster.look([live.run_dir]).runs[0].state == "unreadable"
    shutil.rmtree(tmp_path / "runs")
    assert roster.look().runs == ()


def test_the_newest_of_many_runs_come_first_and_the_others_follow(tmp_path: Path) -> None:
    for number in range(30):
        build_run(tmp_path, t=1e9 + number, name=f"run-{number}", seed=number)
    roster = Roster(LabHome(tmp_path))
    first = roster.look()
    assert first.runs[0].name == "run-29"
    assert first.num_unread == 30 - len(first.runs) > 0
    whole = roster.look()
    assert (len(whole.runs), whole.num_unread) == (30, 0)


async def test_a_filter_narrows_the_table_as_it_is_typed(tmp_path: Path) -> None:
    build_lab(tmp_path, now=time.time(), num_steps=NUM_STEPS)
    app = lab_app(tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot, app)
        screen = dashboard(app)
        below = screen.header.region.y
        await pilot.press("slash", *"state:fai")
        await until_text(pilot, app, "1 of 5 runs")
        hint = screen.query_one(FilterHint)
        await until(pilot, lambda: [one.text for one in hint.suggestions] == ["failed"])
        await pilot.press("tab", *"or val_bpb<")
        await until(pilot, lambda: bool(hint.problem))
        assert names(screen) == ["hot-lr"]
        await until_text(pilot, app, UNICODE.alert + " filter, character")
        await pilot.press("9", "enter")
        await until_text(pilot, app, "of 5 runs")
        await until(pilot, lambda: app.focused is screen.table and len(screen.table.rows) == 2)
        await pilot.press("escape")
        await until(pilot, lambda: len(screen.table.rows) == 5 and not screen.filter_line.display)
        await pilot.press("slash", *"zebra", "enter")
        await until_text(pilot, app, "No run passes this filter")
        assert screen.header.region.y == below + 1


async def test_marks_survive_sorting_grouping_and_filters(tmp_path: Path) -> None:
    build_lab(tmp_path, now=time.time(), num_steps=NUM_STEPS)
    app = lab_app(tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot, app)
        screen = dashboard(app)
        await pilot.press("home", "space", "space")
        await until_text(pilot, app, f"{UNICODE.mark} 2 marked")
        marked = {run.name for run in screen.marked_runs()}
        assert marked == {"night-shift", "amber-fox"}
        assert screen.detail.marked == screen.marked
        at = screen.table.columns.index("name")
        x = 1 + sum(fitting(screen.table.size.width)[key] for key in screen.table.columns[:at])
        for expected in ("amber-fox", "wide-batch", "night-shift"):
            await pilot.click(screen.table, offset=(x + 1, 0))
            await until(pilot, partial(is_listed_first, screen, expected))
        await pilot.press("greater_than_sign", "v")
        await until_text(pilot, app, f"state{UNICODE.descending}")
        await pilot.press("g")
        await until_text(pilot, app, "speedrun/cpu  5 runs")
        await pilot.press("slash", *"wide", "enter")
        await until_text(pilot, app, "1 of 5 runs")
        assert {run.name for run in screen.marked_runs()} == marked
        await pilot.press("u")
        await until(pilot, lambda: not screen.marked and not screen.detail.marked)


async def test_labels_are_given_and_runs_go_to_the_trash_after_a_question(tmp_path: Path) -> None:
    run = build_run(tmp_path, t=time.time() - 60, name="done", stages=("data",)).supervised()
    run.stage("data", [])
    run.ended("finished")
    other = build_run(tmp_path, t=time.time() - 90, name="other", seed=8)
    app = lab_app(tmp_path)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await settled(pilot, app)

        async def answer(key: str, text: str) -> None:
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, AskTextScreen))
            await pilot.press("ctrl+u", *text, "enter")

        await answer("t", "-")
        await until_text(pilot, app, "cannot be a tag")
        await pilot.press("ctrl+u", *"keep", "enter")
        await until_text(pilot, app, "Tagged keep: done.")
        await answer("w", "worth a look")
        await until_text(pilot, app, "Noted: done.")
        await answer("R", "other")
        await until_text(pilot, app, "Renamed to other: done.")
        view = load_run(run.run_dir)
        assert (view.name, view.tags, view.notes) == ("other", ("keep",), ("worth a look",))
        await pilot.press("i")
        assert app.clipboard == view.run_id
        await pilot.press("O")
        await until_text(pilot, app, "has no report")
        await pilot.press("c")
        await until_text(pilot, app, "mark two runs or more")
        await pilot.press("A", "D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("enter")
        await until_text(pilot, app, "labcli run speedrun")
        assert len(list(trash_home(LabHome(tmp_path)).runs_dir.iterdir())) == 2
        assert read_log(other.paths.requests) == []


async def test_a_run_a_comparison_and_a_new_run_open_over_the_dashboard(tmp_path: Path) -> None:
    build_run(tmp_path, t=time.time() - 60, name="elder", stages=("data",))
    build_run(tmp_path, t=time.time(), name="younger", stages=("data",), seed=7)
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await until_text(pilot, app, "younger")
        await pilot.press("escape")
        await settled(pilot, app)
        await pilot.press("A", "c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await pilot.press("escape")
        await settled(pilot, app)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen))
        await pilot.press("escape")
        await settled(pilot, app)
        assert dashboard(app).table.has_focus


async def test_a_killed_run_crashes_on_screen_and_a_lost_registry_stops_nothing(
    tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    at_work(tmp_path, "doomed", bystander.pid)
    home = LabHome(tmp_path)
    home.registry.write_bytes(b"registry")
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        await until_text(pilot, app, f"{UNICODE.states['running']} running")
        home.registry.unlink()
        home.run_views.unlink(missing_ok=True)
        os.kill(bystander.pid, signal.SIGKILL)
        bystander.wait()
        await until_text(pilot, app, f"{UNICODE.states['crashed']} crashed")
        await until_text(pilot, app, "is gone without a word")
        build_run(tmp_path, t=time.time(), name="next", seed=3)
        await until_text(pilot, app, f"{UNICODE.states['queued']} queued")
        assert not any("cannot read" in line for line in frame(app))


async def test_a_covered_dashboard_rests_and_catches_up(tmp_path: Path) -> None:
    build_run(tmp_path, t=time.time() - 60, name="before")
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        screen = dashboard(app)
        await pilot.press("f3")
        await until(pilot, lambda: app.screen is not screen)
        await app.workers.wait_for_complete()
        await pilot.pause()
        drawn = screen.table.now
        build_run(tmp_path, t=time.time(), name="meanwhile", seed=5)
        # Longer than it would take to list the runs again.
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            await pilot.pause(0.1)
        assert (screen.table.now, len(screen.runs)) == (drawn, 1)
        await pilot.press("f2")
        await until_text(pilot, app, "meanwhile")

"""Runs beside each other as a person meets them, held against what the command line tells."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from runs.analysis.comparison import compare
from runs.analysis.repeat import repeat_command
from runs.events import Eval, EventLog, Step
from runs.paths import LabHome, RunPaths
from runs.views.card import RunCard, load_cards
from runs.views.query import load_run
from tests.tui.builders import build_run
from tests.tui.compared import NUM_STEPS, compared_run
from tests.tui.frames import frame, lab_app, until, until_text
from tui.analysis.compare_markdown import markdown
from tui.analysis.compare_page import SECTIONS, Choice
from tui.analysis.compare_reader import CompareReader
from tui.analysis.verdicts import floor_line, pair_lines
from tui.app import LabApp
from tui.screens.compare_runs import CompareScreen
from tui.shell.environment import Environment
from tui.shell.glyphs import UNICODE
from tui.widgets.chart import Chart

DEPTHS = (4, 4, 4, 6, 8, 2)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Six finished runs of several sizes, two of them the same but for their seeds."""
    root, now = tmp_path_factory.mktemp("lab"), time.time()
    base = compared_run(root, name="base-line", t=now - 9000)
    again = compared_run(root, name="base-again", t=now - 8000, seed=2, level=1.601)
    hot = compared_run(root, name="hot-lr", t=now - 7000, lr=0.9, level=1.58)
    runs = {"base-line": base, "base-again": again, "hot-lr": hot}
    for depth, level in ((6, 1.5), (8, 1.45), (2, 1.8)):
        name = f"d{depth}"
        runs[name] = compared_run(root, name=name, t=now - 9000 + depth, depth=depth, level=level)
    return {name: run.run_dir for name, run in runs.items()}


async def opened(pilot: Pilot[None], app: LabApp, runs: tuple[Path, ...]) -> CompareScreen:
    """Open a comparison over the dashboard, and wait until it is read."""
    environment = Environment(glyphs=UNICODE, frames_per_s=50.0)
    screen = CompareScreen(home=LabHome(runs[0].parent.parent), environment=environment, runs=runs)
    app.push_screen(screen)
    await until(pilot, lambda: screen.is_attached and screen.is_settled)
    await pilot.pause()
    return screen


async def pressed(pilot: Pilot[None], screen: CompareScreen, key: str) -> str:
    """Press a key, wait until its page is read, and return the rows as text."""
    await pilot.press(key)
    await until(pilot, lambda: screen.is_settled)
    await pilot.pause()
    return rows_of(screen)


def rows_of(screen: CompareScreen) -> str:
    """Return the rows of the section as text, those beyond the window too."""
    return "\n".join(row.line.text for row in screen.table.rows)


async def test_the_verdict_is_that_of_the_command_line_and_every_section_is_one_key_away(
    lab: dict[str, Path], tmp_path: Path
) -> None:
    runs = (lab["base-line"], lab["hot-lr"], lab["base-again"])
    home = LabHome(runs[0].parent.parent)
    cards = [RunCard(load_run(run)) for run in runs]
    found = compare(cards, load_cards(home))
    told = [line for pair in found.pairs for line in pair_lines(pair, "base-line", "val_bpb")]
    app = lab_app(home.root)
    async with app.run_test(size=(200, 50)) as pilot:
        screen = await opened(pilot, app, runs)
        values = [row.value for row in screen.table.rows]
        assert [line for line in told if line not in values] == [told[0], told[3]]
        assert floor_line(found.floor, None) in values
        assert found.floor is not None
        charts = list(screen.query(Chart))
        assert [len(chart.chart.legend) for chart in charts] == [3, 3]
        settings = await pressed(pilot, screen, "2")
        assert "base.matrix_lr" in settings and "0.9000" in settings
        assert "base.depth" not in settings
        assert "the same code as base-line" in await pressed(pilot, screen, "3")
        why = await pressed(pilot, screen, "4")
        assert "hot-lr against base-line" in why and "how far each step moves" in why
        assert "base-again against base-line" in await pressed(
            pilot, screen, "right_square_bracket"
        )
        assert "do not differ in size" in await pressed(pilot, screen, "5")
        await pilot.press("Y")
        await until(pilot, lambda: told[1] in app.clipboard)
        await pilot.press("e")
        await until_text(pilot, app, "Write the comparison to")
        app.screen.query_one(Input).value = str(tmp_path / "told.md")
        await pilot.press("enter")
        await until(pilot, lambda: (tmp_path / "told.md").exists())
    page = (tmp_path / "told.md").read_text()
    assert "## val_bpb of base" in page and "| base.matrix_lr | 0.6000 | 0.9000 | 0.6000 |" in page


async def test_metric_axis_and_first_run_are_chosen_by_keys_at_80_by_24(
    lab: dict[str, Path],
) -> None:
    runs = (lab["base-line"], lab["d6"])
    app = lab_app(runs[0].parent.parent)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app, runs)
        assert "val_bpb of base over step" in frame(app)[0]
        assert max(map(len, frame(app))) <= 80
        assert "smaller is better" in await pressed(pilot, screen, "m")
        await until_text(pilot, app, "loss of base over step")
        await pressed(pilot, screen, "x")
        await until_text(pilot, app, "loss of base over tokens")
        first = [line.value for line in screen.table.rows if line.key.startswith("standing")]
        await pressed(pilot, screen, "b")
        await until(pilot, lambda: "base-line against d6" in rows_of(screen))
        second = [line.value for line in screen.table.rows if line.key.startswith("standing")]
        assert second == first[::-1]
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, CompareScreen))


async def test_one_run_no_shared_metric_and_an_unreadable_run_are_told_in_one_line(
    lab: dict[str, Path], tmp_path: Path
) -> None:
    mute = build_run(tmp_path, t=time.time() - 90, name="mute", stages=("base",))
    other = build_run(tmp_path, t=time.time() - 80, name="other", stages=("base",), seed=2)
    broken = build_run(tmp_path, t=time.time() - 70, name="broken", stages=("base",), seed=3)
    broken.paths.run_json.write_text("{")
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        for runs, told in (
            ((mute.run_dir,), "takes two runs; mark another one"),
            ((mute.run_dir, other.run_dir), "has measured nothing yet"),
            ((mute.run_dir, broken.run_dir), "takes two runs"),
        ):
            screen = await opened(pilot, app, runs)
            assert told in " ".join(rows_of(screen).split())
            await pressed(pilot, screen, "4")
            assert told in " ".join(rows_of(screen).split())
        assert any("is left out" in line for line in frame(app)[:3])


async def test_twenty_runs_are_grouped_by_value_and_their_scaling_is_fitted(
    lab: dict[str, Path],
) -> None:
    home = LabHome(lab["d2"].parent.parent)
    extra = [
        compared_run(home.root, name=f"extra-{n}", t=time.time() - 900 + n, depth=3, seed=50 + n)
        for n in range(14)
    ]
    runs = (*lab.values(), *(run.run_dir for run in extra))
    app = lab_app(home.root)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app, runs)
        assert "20 runs" in frame(app)[0]
        settings = await pressed(pilot, screen, "2")
        depth = next(line for line in settings.splitlines() if "base.depth" in line)
        assert "4: ABC" in depth and "6: D" in depth
        assert "E + A (C /" in await pressed(pilot, screen, "5")
        assert max(map(len, frame(app))) <= 80


def test_a_page_is_read_again_only_when_a_run_has_grown(tmp_path: Path) -> None:
    now = time.time()
    first = compared_run(tmp_path, name="first", t=now - 500)
    second = compared_run(tmp_path, name="second", t=now - 400, lr=0.9)
    reader = CompareReader(LabHome(tmp_path), (first.run_dir, second.run_dir))
    page = reader.read(("verdict",), Choice())
    assert page is not None and page.found is not None
    assert page.repeat == repeat_command(
        RunCard(load_run(first.run_dir)), load_cards(LabHome(tmp_path)), "base"
    )
    assert reader.read(("verdict",), Choice()) is None
    with EventLog(RunPaths(second.run_dir).events("base", 1), clock=second.clock) as log:
        spent = {"tokens": 1e6, "train_s": 20.0, "flops": 1e17, "lrm": 1.0, "loss": 3.0}
        log.append(Step(step=NUM_STEPS + 1, metrics=spent))
        log.append(Eval(step=NUM_STEPS + 1, val_bpb=1.0, val_sha256="5f" * 32))
    newer = reader.read(SECTIONS, Choice())
    assert newer is not None and newer.found is not None
    assert newer.found.standings[1].last == pytest.approx(1.0)
    assert "# second against first" in markdown(newer)

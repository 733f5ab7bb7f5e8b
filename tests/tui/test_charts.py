"""The charts and panes of the dashboard's detail: real run directories, real keys."""

from __future__ import annotations

import time
from pathlib import Path

from runs.events import Alert
from runs.log import append_record
from tests.tui.builders import build_run, running_run, step, training
from tests.tui.frames import dashboard, frame, lab_app, settled, until, until_text
from tui.shell.glyphs import UNICODE
from tui.widgets.chart import Chart
from tui.widgets.chart_grid import ChartGrid
from tui.widgets.log_view import LogView
from tui.widgets.run_detail import RunDetail

NUM_STEPS = 420


async def test_one_crosshair_goes_through_all_charts_and_the_axis_can_be_changed(
    tmp_path: Path,
) -> None:
    run = running_run(tmp_path, now=time.time(), num_steps=NUM_STEPS)
    for n in range(4):
        run.clock.t = time.time() - 30 + 5 * n
        append_record(run.paths.host, "sample", {"cpu_percent": 50.0 + n, "gpus": []},
                      clock=run.clock)  # fmt: skip
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        detail = app.screen.query_one(RunDetail)
        grid = detail.query_one(ChartGrid)
        await until(pilot, lambda: len(grid.charts) == 7)
        assert [key for key, _ in grid.charts][4:] == ["grad_norm", "lrm", "cpu"]
        loss = app.screen.query_one("#chart-loss", Chart)
        speed = app.screen.query_one("#chart-tok_per_sec", Chart)
        loss.focus()
        await pilot.press("right", "right", "ctrl+right")
        await until(pilot, lambda: speed.crosshair is not None)
        assert speed.crosshair == loss.crosshair == grid.crosshair
        place = loss.crosshair
        assert place is not None
        await until_text(pilot, app, f"at {place:,.0f}")
        await pilot.press("x")
        await until(pilot, lambda: loss.chart.axis == "tokens")
        assert loss.crosshair == place * 4096
        await pilot.press("plus", "plus")
        await until(pilot, lambda: speed.zoom is not None)
        assert detail.bar.axis == "tokens"
        await pilot.press("0")
        await until(pilot, lambda: speed.zoom is None and speed.crosshair is None)
        await pilot.hover("#chart-tok_per_sec", offset=(12, 3))
        await until(pilot, lambda: loss.crosshair is not None)
        await pilot.press("1")
        await until(pilot, lambda: app.screen.query_one("#chart-cpu", Chart).display)
        assert not loss.display


async def test_marked_runs_are_laid_over_each_other_with_letters_and_followed(
    tmp_path: Path,
) -> None:
    now = time.time()
    first = build_run(tmp_path, t=now - 60, name="amber-fox", stages=("base",)).supervised()
    other = build_run(tmp_path, t=now - 90, name="hot-lr", stages=("base",), seed=2).supervised()
    with first.attempt("base") as log, other.attempt("base") as other_log:
        training(log, first.clock, "base", 1, 60, total=100)
        training(other_log, other.clock, "base", 1, 40, total=100)
        app = lab_app(tmp_path, focus=first.run_dir)
        async with app.run_test(size=(120, 40)) as pilot:
            await settled(pilot, app)
            detail = app.screen.query_one(RunDetail)
            detail.marked = (other.run_dir, first.run_dir, tmp_path / "no-such-run")
            await until_text(pilot, app, "A hot-lr")
            loss = app.screen.query_one("#chart-loss", Chart)
            assert [entry.name for entry in loss.chart.legend] == ["hot-lr", "amber-fox"]
            plotted = "".join(text for line in loss.sheet.lines[2:] for text, _ in line)
            assert {"A", "B"} <= set(plotted)
            other_log.append(step(41, loss=7.125))

            def last_of_other() -> float:
                layer = loss.chart.probe(0)
                return 0.0 if layer is None else float(layer.y[-1])

            await until(pilot, lambda: last_of_other() == 7.125)
            detail.marked = ()
            await until(pilot, lambda: not loss.chart.legend)


async def test_a_line_of_the_log_points_at_its_step_and_the_log_can_be_searched(
    tmp_path: Path,
) -> None:
    now = time.time()
    run = build_run(tmp_path, t=now - 60, name="talker", stages=("base",)).supervised()
    with run.attempt("base") as log:
        training(log, run.clock, "base", 1, 400, total=800)
        log.append(Alert(code="spike", severity="warning", message="the loss jumped"))
        run.print_log("base", *(f"step {n}: printed" for n in range(10, 60)))
        app = lab_app(tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pilot, app)
            grid = app.screen.query_one(ChartGrid)
            pane = app.screen.query_one(LogView)
            await pilot.press("2")
            await until_text(pilot, app, "step 59: printed")
            pane.focus()
            await pilot.press("up", "up", "enter")
            await until(pilot, lambda: grid.crosshair == 57.0)
            await pilot.press("slash", *"SAVED", "enter")
            await until(pilot, lambda: pane.has_focus and len(pane.matches) == 4)
            assert "step 400: saved" in pane.lines[pane.chosen_line].text
            await pilot.press("N")
            await pilot.press("enter")
            await until(pilot, lambda: grid.crosshair == 300.0)
            run.print_log("base", "step 60: printed")
            await until(pilot, lambda: pane.lines[-1].text == "step 60: printed")
            assert "step 300: saved" in pane.lines[pane.chosen_line].text
            await pilot.press("end")
            await until_text(pilot, app, "step 60: printed")
            await pilot.press("5")
            await until_text(pilot, app, "jumped  spike")


async def test_samples_are_scrubbed_together_with_the_crosshair(tmp_path: Path) -> None:
    run = build_run(tmp_path, t=time.time() - 60, name="writer", stages=("base",)).supervised()
    with run.attempt("base") as log:
        training(log, run.clock, "base", 1, 1200, total=2000)
        app = lab_app(tmp_path)
        async with app.run_test(size=(140, 40)) as pilot:
            await settled(pilot, app)
            await pilot.press("3")
            await until_text(pilot, app, f"{UNICODE.cursor} step 1,200")
            dashboard(app).query_one("#samples").focus()
            await pilot.press("left")
            grid = app.screen.query_one(ChartGrid)
            await until(pilot, lambda: grid.crosshair == 800.0)
            await until_text(pilot, app, f"{UNICODE.cursor} step 800")
            assert not any("step 1,200" in line for line in frame(app))
            app.screen.query_one("#chart-loss").focus()
            await pilot.press("ctrl+left", "ctrl+left")
            await until_text(pilot, app, f"{UNICODE.cursor} step 400")

"""What is said of checkpoints: which are the best and which were removed, in every view alike."""

from __future__ import annotations

import time
from pathlib import Path
from shutil import rmtree

from runs.events import Checkpoint, Event, decode, encode
from runs.paths import LabHome
from tests.tui.builders import RunBuilder, build_run, finish_until, start
from tests.tui.frames import frame, lab_app, settled, until, until_text
from tui.analysis.run_reader import RunReader
from tui.live.saved import WrittenCheckpoint, saved_checkpoints
from tui.live.state import LiveView, StageRecord, apply


def finished_run(root: Path) -> RunBuilder:
    """Return a finished run of which the last two checkpoints of `base` are on disk."""
    run = build_run(root, t=time.time() - 400, name="done", num_steps=400).supervised()
    finish_until(run, "base", num_steps=400).ended("finished")
    for step in (300, 400):
        place = run.paths.checkpoints_dir("base") / f"step_{step}"
        place.mkdir(parents=True)
        (place / "COMMITTED").touch()
    return run


def marks_in_pane(lines: list[str]) -> dict[int, str]:
    """Return what stands behind the time of each checkpoint of `base`, by step."""
    rows = [line.partition(":base@")[2].split() for line in lines if ":base@" in line]
    return {int(row[0]): " ".join(row[4:]) for row in rows}


async def test_the_pane_of_checkpoints_marks_what_the_page_of_the_run_marks(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    page = RunReader(LabHome(tmp_path), run.run_dir).read("checkpoints")
    assert page is not None
    told = {one.written.step: one.mark for one in page.checkpoints}
    assert told == {100: "removed", 200: "removed", 300: "", 400: "best"}
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        await pilot.press("4")
        await until_text(pilot, app, ":base@400")
        assert marks_in_pane(frame(app)) == told
        # A clean-up writes no event, and is seen all the same.
        rmtree(run.paths.checkpoints_dir("base") / "step_400")
        told[400] = "best, removed"
        await until(pilot, lambda: marks_in_pane(frame(app)) == told)


def test_a_checkpoint_that_was_written_twice_is_told_once_and_the_best_is_so_in_its_stage() -> None:
    made = [written("base", 100), written("base", 200), written("base", 200), written("mid", 50)]
    bpb = {("base", 100): 1.5, ("base", 200): 1.25, ("mid", 50): 1.75}
    found = saved_checkpoints(made, {("base", 200)}, bpb)
    assert [(one.written.place, one.mark) for one in found] == [
        (("base", 100), "removed"),
        (("base", 200), "best"),
        (("mid", 50), "best, removed"),
    ]


def test_what_lies_beyond_the_step_that_a_later_attempt_went_on_from_counts_no_more() -> None:
    first = records(1, start("base", 1), checkpoint(100), checkpoint(200))
    view = apply(LiveView(), [*first, *records(2, start("base", 2, resumed_from=100))])
    assert [one.step for one in view.checkpoints] == [100]


def written(stage: str, step: int) -> WrittenCheckpoint:
    return WrittenCheckpoint(stage=stage, step=step, t=100.0, num_bytes=2.0**20, sha256="ab")


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step=step, path=f"checkpoints/base/step_{step}", bytes=2**20, sha256="ab")


def records(attempt: int, *events: Event) -> list[StageRecord]:
    """Return events of `base` as they come back from a file."""
    found = []
    for seq, event in enumerate(events):
        record = decode(encode(event, seq=seq, t=100.0 + seq))
        assert record is not None
        found.append(StageRecord(stage="base", attempt=attempt, rank=0, record=record))
    return found

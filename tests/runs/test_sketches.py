"""The sketches of all runs, and views of ended runs that are kept: derived, and never wrong."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from labcli.bench.registry.lab import make_runs
from runs import labels
from runs.events import End
from runs.paths import LabHome, RunPaths
from runs.registry import sketch_store, store
from runs.views import kept_views
from runs.views.query import list_runs, load_run
from tests.runs.builders import make_run, write_events

NUM_RUNS = 3


@pytest.fixture
def runs(home: LabHome) -> list[RunPaths]:
    return [RunPaths(path) for path in make_runs(home, NUM_RUNS, num_steps=5)]


def steps(home: LabHome) -> list[tuple[str, list[float]]]:
    found = sketch_store.read_sketches(home, "loss", stage="base")
    return [(curve.run_id, curve.step.tolist()) for curve in found]


def test_sketches_hold_the_curve_of_every_run_newest_first(
    home: LabHome, runs: list[RunPaths]
) -> None:
    wanted = [(paths.run_dir.name[:26], [1, 2, 3, 4, 5]) for paths in reversed(runs)]
    assert steps(home) == wanted


def test_sketches_follow_the_runs(home: LabHome, runs: list[RunPaths]) -> None:
    before = steps(home)
    runs[0].run_dir.rename(home.root / "gone")
    assert steps(home) == before[:-1]
    assert sketch_store.publish_sketches(home) == 0


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "middle"])
def test_damaged_sketches_are_made_again(home: LabHome, runs: list[RunPaths], damage: str) -> None:
    before = steps(home)
    content = bytearray(home.sketches.read_bytes())
    content[8192:] = bytes(len(content) - 8192)
    contents = {"empty": b"", "text": b"no database" * 999, "middle": bytes(content)}
    home.sketches.unlink()
    if damage in contents:
        home.sketches.write_bytes(contents[damage])
    assert steps(home) == before


def test_registry_replaced_at_any_moment_is_read_whole(home: LabHome, runs: list[RunPaths]) -> None:
    done = threading.Event()
    answers = set()

    def ask() -> None:
        while not done.is_set():
            answers.add(store.query(home, "SELECT count(*), min(state) FROM runs").rows)

    reader = threading.Thread(target=ask)
    reader.start()
    rebuild = "import sys; from runs.registry import store; from runs.paths import LabHome; " + (
        "from pathlib import Path; store.reindex(LabHome(Path(sys.argv[1])))"
    )
    for index in range(3):
        if index % 2:
            home.registry.unlink(missing_ok=True)
        else:
            subprocess.run([sys.executable, "-c", rebuild, str(home.root)], check=True)
    done.set()
    reader.join()
    assert answers == {((NUM_RUNS, "finished"),)}


def test_kept_views_equal_those_read_from_the_directories(
    home: LabHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_views, "MIN_NEW", 1)
    paths = [RunPaths(path) for path in make_runs(home, 2, num_steps=3)]
    fresh = [load_run(path.run_dir) for path in reversed(paths)]
    assert list_runs(home) == fresh
    assert home.run_views.exists()
    assert list_runs(home) == fresh
    labels.add_tag(paths[0].run_dir, "late")
    assert list_runs(home)[1].tags == ("late",)
    assert list_runs(home)[0] == fresh[0]


def test_a_stage_that_goes_on_after_its_view_was_kept_is_seen(
    home: LabHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_views, "MIN_NEW", 1)
    paths = make_run(home, {"tok": {}})
    write_events(paths, "tok", 1, End(reason="stopped"))
    assert [view.state for view in list_runs(home)] == ["stopped"]
    write_events(paths, "tok", 1, End(reason="finished"))
    assert [view.state for view in list_runs(home)] == ["finished"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"v":1,"fields":[],"views":{}}'])
def test_damaged_kept_views_only_cost_time(
    home: LabHome, content: bytes, runs: list[RunPaths]
) -> None:
    home.run_views.write_bytes(content)
    assert [view.state for view in list_runs(home)] == ["finished"] * NUM_RUNS


def test_few_runs_leave_no_file_behind(home: LabHome, runs: list[RunPaths]) -> None:
    list_runs(home)
    assert not home.run_views.exists()

"""Many runs read by several processes: the same rows, whatever becomes of a process."""

from __future__ import annotations

import sys

import pytest

from runs.events import End, Start, Step
from runs.paths import LabHome, RunPaths
from runs.registry import readers, store
from runs.registry.rows import TABLES
from tests.runs.builders import make_run, write_events

START = Start(
    stage="tok", attempt=1, config_hash="", host="", device="", torch=None, world_size=1, argv=()
)
Tables = dict[str, list[tuple[object, ...]]]


@pytest.fixture
def runs(home: LabHome) -> list[RunPaths]:
    made = [make_run(home, {"tok": {}}, tags=["x"] * index) for index in range(5)]
    for paths in made[1:4]:
        step = Step(step=1, total_steps=1, metrics={"loss": 2.5})
        write_events(paths, "tok", 1, START, step, End(reason="finished"))
    made[4].run_json.write_text("{", encoding="utf-8")
    return made


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MIN_SHARE", 1)
    monkeypatch.setattr(readers, "_num_cores", lambda: 3)


def reindexed(home: LabHome) -> Tables:
    assert store.reindex(home) == 5
    return {
        name: sorted(store.query(home, f"SELECT * FROM {name}").rows, key=repr) for name in TABLES
    }


def test_several_processes_read_the_rows_that_one_reads(
    home: LabHome, runs: list[RunPaths], request: pytest.FixtureRequest
) -> None:
    alone = reindexed(home)
    assert [len(alone[name]) for name in TABLES] == [5, 4, 3]
    request.getfixturevalue("shared")
    assert reindexed(home) == alone


def test_processes_make_again_what_is_derived(
    home: LabHome, runs: list[RunPaths], shared: None
) -> None:
    reindexed(home)
    assert [paths.metrics("tok").is_file() for paths in runs] == [False, True, True, True, False]


def test_the_share_of_a_process_that_fails_is_read_here(
    home: LabHome, runs: list[RunPaths], shared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = reindexed(home)
    for interpreter in ("/bin/false", "/bin/true", "/nowhere/python"):
        monkeypatch.setattr(sys, "executable", interpreter)
        assert reindexed(home) == wanted

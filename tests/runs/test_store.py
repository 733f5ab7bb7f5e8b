"""The registry: always derived, never held, and none the worse for losing it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from runs import labels
from runs.errors import Busy, UsageError
from runs.events import End, Eval, Start, Step
from runs.paths import LabHome, RunPaths
from runs.registry import store
from runs.views.summary import write_summary
from tests.runs.builders import make_run, wait_for, write_events

START = Start(
    stage="base", attempt=1, config_hash="", host="", device="", torch=None, world_size=1, argv=()
)

HOLD_LOCK = """
import fcntl, os, sys
stream = open(sys.argv[1], "w")
fcntl.flock(stream, fcntl.LOCK_EX)
stream.write(str(os.getpid()))
stream.flush()
print("held", flush=True)
sys.stdin.read()
"""
HOLD_DATABASE = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(script: str, path: Path) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process.pid
        process.kill()


@pytest.fixture
def paths(home: LabHome) -> RunPaths:
    return make_run(home, {"tok": {}, "base": {"depth": 4}}, tags=["first"])


def finish(paths: RunPaths) -> None:
    for stage in ("tok", "base"):
        write_events(
            paths, stage, 1, START, Step(step=1, total_steps=1, metrics={"loss": 2.5}),
            Eval(step=1, val_bpb=1.25, results={"spelling": {"accuracy": 0.5}}),
            End(reason="finished"),
        )  # fmt: skip
    write_summary(paths.run_dir)


def states(home: LabHome) -> list[tuple[str, str]]:
    table = store.query(home, "SELECT run_id, state FROM runs ORDER BY run_id")
    return [(str(run_id), str(state)) for run_id, state in table.rows]


def test_query_answers_from_every_run(home: LabHome, paths: RunPaths) -> None:
    finish(paths)
    table = store.query(home, "SELECT name, val_bpb, tags, plan->>'tokens' AS t FROM runs")
    assert table.columns == ("name", "val_bpb", "tags", "t")
    assert table.rows == ((paths.run_dir.name[27:], 1.25, ["first"], "0"),)
    stages = store.query(home, "SELECT stage, state, config FROM stages ORDER BY position")
    assert stages.rows == (("tok", "finished", "{}"), ("base", "finished", '{"depth": 4}'))
    figures = store.query(home, "SELECT key, last FROM summaries WHERE stage = 'base' ORDER BY key")
    assert figures.rows == (
        ("loss", 2.5), ("results.spelling.accuracy", 0.5), ("val_bpb", 1.25),
    )  # fmt: skip


def test_query_takes_parameters(home: LabHome, paths: RunPaths) -> None:
    table = store.query(home, "SELECT count(*) FROM runs WHERE recipe = ?", ["toy"])
    assert table.rows == ((1,),)


def test_refused_query_is_a_usage_error(home: LabHome, paths: RunPaths) -> None:
    with pytest.raises(UsageError, match="nonesuch"):
        store.query(home, "SELECT nonesuch FROM runs")
    with pytest.raises(UsageError):
        store.query(home, "DELETE FROM runs")


def test_changes_and_new_and_removed_runs_are_picked_up(home: LabHome, paths: RunPaths) -> None:
    assert [state for _, state in states(home)] == ["queued"]
    labels.add_tag(paths.run_dir, "late")
    other = make_run(home)
    finish(other)
    assert [state for _, state in states(home)] == ["queued", "finished"]
    tags = store.query(home, "SELECT tags FROM runs WHERE run_id = ?", [paths.run_dir.name[:26]])
    assert tags.rows == ((["first", "late"],),)
    other.run_dir.rename(home.root / "gone")
    assert [state for _, state in states(home)] == ["queued"]


def test_publish_of_finished_runs_changes_nothing_twice(home: LabHome, paths: RunPaths) -> None:
    finish(paths)
    assert store.publish(home) == 1
    written_ns = home.registry.stat().st_mtime_ns
    assert store.publish(home) == 0
    assert home.registry.stat().st_mtime_ns == written_ns


def test_unreadable_run_is_listed_with_its_problem(home: LabHome, paths: RunPaths) -> None:
    paths.run_json.write_text("{")
    table = store.query(home, "SELECT state, problem FROM runs")
    assert table.rows[0][0] == "unreadable" and "run.json" in table.rows[0][1]


def test_registry_can_be_deleted_at_any_time(home: LabHome, paths: RunPaths) -> None:
    before = states(home)
    home.registry.unlink()
    assert states(home) == before


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "middle", "other-database"])
def test_damaged_registry_is_rebuilt(home: LabHome, paths: RunPaths, damage: str) -> None:
    before = states(home)
    content = bytearray(home.registry.read_bytes())
    if damage == "empty":
        content = bytearray()
    elif damage == "text":
        content = bytearray(b"not a database" * 1000)
    elif damage == "truncated":
        del content[len(content) // 2 :]
    elif damage == "middle":
        content[8192:16384] = bytes(8192)
    home.registry.write_bytes(content)
    if damage == "other-database":
        home.registry.unlink()
        duckdb.connect(str(home.registry)).close()
    assert states(home) == before


def test_registry_of_another_version_is_rebuilt(home: LabHome, paths: RunPaths) -> None:
    before = states(home)
    with duckdb.connect(str(home.registry)) as connection:
        connection.execute("UPDATE meta SET version = 999")
    assert states(home) == before


def test_leftovers_of_a_killed_publisher_do_not_matter(home: LabHome, paths: RunPaths) -> None:
    before = states(home)
    home.registry.with_name("registry.duckdb.tmp").write_bytes(b"half")
    home.registry.with_name("registry.duckdb.tmp.wal").write_bytes(b"half")
    home.registry.with_name("registry.duckdb.wal").write_bytes(b"half")
    labels.add_tag(paths.run_dir, "new")
    assert states(home) == before


def test_reindex_counts_the_runs(home: LabHome, paths: RunPaths) -> None:
    make_run(home)
    assert store.reindex(home) == 2


def test_reindex_makes_lost_summaries_and_metrics_again(home: LabHome, paths: RunPaths) -> None:
    finish(paths)
    paths.summary.unlink()
    store.reindex(home)
    assert paths.summary.exists() and paths.metrics("base").exists()
    table = store.query(home, "SELECT last FROM summaries WHERE stage = 'base' AND key = 'loss'")
    assert table.rows == ((2.5,),)


def test_publish_is_skipped_while_another_process_publishes(home: LabHome, paths: RunPaths) -> None:
    store.publish(home)
    with another_process(HOLD_LOCK, home.registry_lock):
        assert store.publish(home) is None


def test_reindex_names_the_process_that_holds_the_lock(home: LabHome, paths: RunPaths) -> None:
    store.publish(home)
    with (
        another_process(HOLD_LOCK, home.registry_lock) as pid,
        pytest.raises(Busy, match=str(pid)),
    ):
        store.reindex(home, wait_s=0.2)


def test_lock_of_a_killed_process_is_free_again(home: LabHome, paths: RunPaths) -> None:
    with another_process(HOLD_LOCK, home.registry_lock):
        pass
    wait_for(lambda: store.publish(home) is not None, "the lock to be free")


def test_reader_names_the_process_that_opened_the_registry(home: LabHome, paths: RunPaths) -> None:
    finish(paths)
    store.publish(home)
    with (
        another_process(HOLD_DATABASE, home.registry) as pid,
        pytest.raises(Busy, match=str(pid)),
    ):
        store.query(home, "SELECT 1")


def test_publishing_replaces_a_registry_that_somebody_holds_open(
    home: LabHome, paths: RunPaths
) -> None:
    store.publish(home)
    with another_process(HOLD_DATABASE, home.registry):
        finish(paths)
        assert states(home)[0][1] == "finished"

"""Views folded from files: attempts, ghosts, labels, summaries, and content that is broken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runs import labels
from runs.events import (
    Alert,
    Artifact,
    Checkpoint,
    End,
    Error,
    Eval,
    EventLog,
    Note,
    Progress,
    Start,
    Step,
)
from runs.log import append_record
from runs.metrics.compact import compact_stage
from runs.metrics.series import read_metrics, summarize
from runs.paths import LabHome, RunPaths
from runs.supervision.process import ProcessIdentity, boot_key, identify
from runs.views.facts import FoldCache, load_facts, stage_facts
from runs.views.fold import StageFacts
from runs.views.query import list_runs, load_run
from runs.views.summary import build_summary, write_summary
from tests.runs.builders import make_run, write_events


def started(attempt: int = 1, resumed_from: int | None = None) -> Start:
    return Start(
        stage="base",
        attempt=attempt,
        config_hash="c",
        host="here",
        device="cpu",
        torch=None,
        world_size=1,
        argv=(),
        resumed_from=resumed_from,
    )


def step(number: int, loss: float) -> Step:
    return Step(step=number, total_steps=10, metrics={"loss": loss})


@pytest.fixture
def paths(home: LabHome) -> RunPaths:
    return make_run(home, {"tok": {}, "base": {}})


def resumed_run(paths: RunPaths) -> None:
    write_events(
        paths, "base", 1, started(), step(1, 5.0), step(2, 4.0), Eval(step=2, val_bpb=2.0),
        step(3, 3.0), Eval(step=3, val_bpb=1.0), Alert(code="x", severity="info", message="m"),
    )  # fmt: skip
    write_events(paths, "base", 2, started(2, resumed_from=2), step(3, 3.5), step(4, 3.2))


def test_new_run_is_queued_with_every_stage_pending(paths: RunPaths) -> None:
    view = load_run(paths.run_dir)
    assert (view.state, view.stage) == ("queued", "tok")
    assert [stage.state for stage in view.stages] == ["pending", "pending"]


def test_steps_beyond_the_resumed_checkpoint_are_ghosts_and_no_data(paths: RunPaths) -> None:
    resumed_run(paths)
    table = read_metrics(paths.run_dir, "base")
    assert [list(column) for column in table["loss"]] == [[1, 2, 3, 4], [5.0, 4.0, 3.5, 3.2]]
    assert [list(column) for column in table.ghosts["loss"]] == [[3], [3.0]]
    assert list(table["val_bpb"][0]) == [2]


def test_view_of_a_resumed_stage_keeps_measurements_of_its_lineage(paths: RunPaths) -> None:
    resumed_run(paths)
    view = load_run(paths.run_dir).stages[1]
    assert (view.attempt, view.resumed_from, view.step) == (2, 2, 4)
    assert view.val_bpb == 2.0
    assert view.metrics == {"loss": 3.2}
    assert view.num_alerts == 1


def test_what_an_attempt_tells_again_of_the_step_it_resumed_from_counts_once(
    paths: RunPaths,
) -> None:
    saved = Checkpoint(step=2, path="checkpoints/base/step_000002", bytes=1, sha256="s")
    write_events(
        paths, "base", 1, started(), step(1, 5.0), step(2, 4.0), saved, Eval(step=2, val_bpb=2.0)
    )
    again = (saved, Eval(step=2, val_bpb=2.0), step(3, 3.5))
    write_events(paths, "base", 2, started(2, resumed_from=2), *again)
    facts = stage_facts(paths.run_dir, "base")
    assert [item["step"] for item in facts.checkpoints] == [2]
    assert [item["step"] for item in facts.evals] == [2]


def test_attempt_from_scratch_forgets_the_one_before(paths: RunPaths) -> None:
    write_events(paths, "base", 1, started(), step(1, 5.0), Eval(step=1, val_bpb=2.0))
    write_events(paths, "base", 2, started(2))
    view = load_run(paths.run_dir).stages[1]
    assert (view.step, view.val_bpb, dict(view.metrics)) == (None, None, {})


def test_compacted_metrics_equal_those_of_the_events(paths: RunPaths) -> None:
    resumed_run(paths)
    before = read_metrics(paths.run_dir, "base")
    assert compact_stage(paths.run_dir, "base") is not None
    after = read_metrics(paths.run_dir, "base")
    assert {key: [list(c) for c in curve] for key, curve in after.items()} == {
        key: [list(c) for c in curve] for key, curve in before.items()
    }
    assert list(after.ghosts["loss"][1]) == [3.0]


def test_compacted_metrics_are_ignored_once_the_log_has_grown(paths: RunPaths) -> None:
    resumed_run(paths)
    compact_stage(paths.run_dir, "base")
    with open(paths.events("base", 2), "ab") as stream:
        stream.write(paths.events("base", 1).read_bytes().splitlines(keepends=True)[1])
    assert list(read_metrics(paths.run_dir, "base")["loss"][0]) == [1, 2, 3, 4, 1]


def test_damaged_metrics_file_is_read_around(paths: RunPaths) -> None:
    resumed_run(paths)
    paths.metrics("base").parent.mkdir()
    paths.metrics("base").write_bytes(b"PAR1 no")
    assert list(read_metrics(paths.run_dir, "base")["loss"][0]) == [1, 2, 3, 4]


def test_stage_without_metrics_has_an_empty_table(paths: RunPaths) -> None:
    assert dict(read_metrics(paths.run_dir, "tok")) == {}
    assert compact_stage(paths.run_dir, "tok") is None


def test_figures_skip_numbers_that_are_not_finite(paths: RunPaths) -> None:
    write_events(paths, "base", 1, started(), step(1, 5.0), step(2, float("nan")), step(3, 4.0))
    figures = summarize(read_metrics(paths.run_dir, "base"))["loss"]
    assert figures == {
        "last": 4.0, "min": 4.0, "max": 5.0, "n": 3, "last_step": 3, "best": 4.0, "best_step": 3,
    }  # fmt: skip


def test_summary_gives_the_same_view_as_the_events(paths: RunPaths) -> None:
    resumed_run(paths)
    write_events(paths, "base", 2, step(5, float("inf")), End(reason="finished"))
    before = load_run(paths.run_dir)
    write_summary(paths.run_dir)
    cache = FoldCache()
    assert load_run(paths.run_dir, cache) == before
    assert cache.events == {}


def test_summary_holds_what_a_report_needs(paths: RunPaths) -> None:
    results = {"arithmetic": {"accuracy": 0.5, "n": 10.0}}
    write_events(
        paths, "base", 1, started(), step(1, 2.0), Eval(step=1, val_bpb=1.5, results=results),
        Checkpoint(step=1, path="checkpoints/base/step_1", bytes=5, sha256="ab"),
        Artifact(name="results", path="r.json", bytes=1, sha256="cd"),
        Note(message="kernel", data={"dtype": "float32"}), End(reason="finished"),
    )  # fmt: skip
    stage = build_summary(paths.run_dir)["stages"]["base"]
    assert stage["state"] == "finished"
    assert stage["results"] == results
    assert stage["metrics"]["loss"]["last"] == 2.0
    assert stage["checkpoints"][0]["step"] == 1
    assert stage["notes"] == [{"message": "kernel", "data": {"dtype": "float32"}}]
    assert stage["artifacts"]["results"]["path"] == "r.json"


def test_poll_with_a_cache_sees_what_was_added(paths: RunPaths) -> None:
    cache = FoldCache()
    write_events(paths, "base", 1, started(), step(1, 5.0))
    assert load_run(paths.run_dir, cache).stages[1].step == 1
    write_events(paths, "base", 1, step(2, 4.0))
    assert load_run(paths.run_dir, cache).stages[1].step == 2


def test_progress_gives_a_share_and_a_remaining_time(paths: RunPaths) -> None:
    now = [1000.0]
    with EventLog(paths.events("tok", 1), clock=lambda: now[0]) as log:
        for done in (0.0, 10.0, 20.0):
            log.append(Progress(done=done, total=50.0, unit="MB", label="counting"))
            now[0] += 5.0
    facts = stage_facts(paths.run_dir, "tok")
    assert (facts.done, facts.total, facts.unit, facts.label) == (20.0, 50.0, "MB", "counting")
    assert facts.eta_s == 15.0


def test_the_remaining_time_is_what_training_says_and_else_what_its_pace_makes(
    paths: RunPaths,
) -> None:
    now = [1000.0]

    def told(number: int, **metrics: float) -> StageFacts:
        log.append(Step(step=number, total_steps=50, metrics={"loss": 3.0, **metrics}))
        now[0] += 2.0
        return stage_facts(paths.run_dir, "base")

    with EventLog(paths.events("base", 1), clock=lambda: now[0]) as log:
        assert told(10).eta_s is None
        assert told(20).eta_s == 6.0
        assert told(30, eta_s=33.5).eta_s == 33.5
        # Nothing is left of it while something else is waited for.
        log.append(Progress(done=0, total=1, unit="shards", label="waiting"))
        assert stage_facts(paths.run_dir, "base").eta_s is None


def test_failure_on_another_rank_fails_the_stage(paths: RunPaths) -> None:
    write_events(paths, "base", 1, started(), step(1, 5.0))
    with EventLog(paths.events("base", 1, rank=1)) as log:
        log.append(Error(type="OOM", message="rank 1 has no memory", traceback=""))
        log.append(End(reason="failed"))
    view = load_run(paths.run_dir).stages[1]
    assert (view.state, view.error) == ("failed", "rank 1 has no memory")


def test_the_rank_that_knows_why_is_believed_before_those_that_lost_it(paths: RunPaths) -> None:
    lost = Error(type="RuntimeError", message="Connection closed by peer", traceback="Traceback")
    known = Error(type="StageFailed", message="out of memory on cuda:1", traceback="")
    for rank, error in enumerate((lost, known, lost)):
        with EventLog(paths.events("base", 1, rank)) as log:
            log.append(error)
    assert load_run(paths.run_dir).stages[1].error == "out of memory on cuda:1"


def test_worker_of_another_boot_without_heartbeat_is_lost(paths: RunPaths) -> None:
    gone = ProcessIdentity(pid=1, start=1, boot="another-boot").as_record()
    append_record(paths.control, "supervisor", gone, clock=lambda: 1000.0)
    launch = {"stage": "tok", "attempt": 1}
    append_record(paths.control, "launch", launch, clock=lambda: 1001.0)
    append_record(paths.control, "stage", {**launch, **gone}, clock=lambda: 1002.0)
    view = load_run(paths.run_dir)
    assert (view.state, view.stages[0].state) == ("lost", "lost")
    assert view.problem is not None and "another machine" in view.problem


def test_process_id_taken_by_another_process_is_not_the_worker(paths: RunPaths) -> None:
    me = identify(os.getpid())
    assert me is not None
    recycled = ProcessIdentity(pid=me.pid, start=me.start - 1, boot=boot_key()).as_record()
    append_record(paths.control, "supervisor", recycled)
    append_record(paths.control, "launch", {"stage": "tok", "attempt": 1})
    append_record(paths.control, "stage", {"stage": "tok", "attempt": 1, **recycled})
    assert load_run(paths.run_dir).state == "crashed"


def test_tags_notes_and_names_follow_the_annotations(paths: RunPaths) -> None:
    labels.add_tag(paths.run_dir, "good")
    labels.add_tag(paths.run_dir, "old")
    labels.remove_tag(paths.run_dir, "old")
    labels.add_note(paths.run_dir, "higher lr")
    labels.rename(paths.run_dir, "fast")
    view = load_run(paths.run_dir)
    assert (view.name, view.tags, view.notes) == ("fast", ("good",), ("higher lr",))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"v": 9}', b'{"v": 1}', b"\xff\xfe", b'{"v":1,"run_id":3}'],
)
def test_broken_run_json_is_an_unreadable_run_and_no_crash(
    home: LabHome, paths: RunPaths, content: bytes
) -> None:
    paths.run_json.write_bytes(content)
    (view,) = list_runs(home)
    assert view.state == "unreadable"
    assert view.problem is not None and "run.json" in view.problem
    assert view.created_s > 0


@pytest.mark.parametrize("name", ["control", "requests", "annotations", "summary"])
@pytest.mark.parametrize("content", [b"\x00\xff{", b'{"v":1}\n', b"[1]\n{}\n", b'{"stages":[]}'])
def test_broken_side_files_do_not_hide_a_run(paths: RunPaths, name: str, content: bytes) -> None:
    resumed_run(paths)
    getattr(paths, name).write_bytes(content)
    assert load_run(paths.run_dir).stages[1].step == 4


def test_torn_and_foreign_lines_in_an_event_log_are_skipped(paths: RunPaths) -> None:
    resumed_run(paths)
    with open(paths.events("base", 2), "ab") as stream:
        stream.write(b'{"v":1,"seq":9,"t":1,"ki\n\xff\xfe\n{"v":7}\n[]\n')
    (paths.events_dir / "notes.txt").write_text("mine")
    assert load_facts(paths.run_dir)["base"].step == 4


def test_runs_are_listed_newest_first_and_foreign_directories_left_out(home: LabHome) -> None:
    first = make_run(home, clock=lambda: 1000.0)
    second = make_run(home, clock=lambda: 2000.0)
    (home.runs_dir / "scratch").mkdir()
    assert [view.path for view in list_runs(home)] == [second.run_dir, first.run_dir]


def test_lab_home_without_runs_lists_none(tmp_path: Path) -> None:
    assert list_runs(LabHome(tmp_path / "nowhere")) == []

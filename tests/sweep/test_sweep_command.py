"""`labcli sweep`: what it plans, makes, leaves out, shows, stops and resumes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labcli.launching import new_run
from labcli.sweep import creating, options
from runs.events import End, Eval
from runs.log import append_record
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from runs.scheduling import queue
from runs.scheduling.sweep import resolve_sweep
from runs.scheduling.sweeping import run_dir_of
from runs.views.query import list_runs, load_run
from tests.builders import RunBuilder, artifact, build_run, step
from tests.cli.conftest import Labcli

GRID = ("--grid", "base.depth=2,4", "--grid", "base.matrix_lr=0.1,0.3")
HERE = ("--preset", "cpu")


@pytest.fixture(autouse=True)
def is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing start: these tests are about what stands in the queue."""
    for module in (creating, options, new_run):
        monkeypatch.setattr(module, "ensure_runner", lambda home: None)


@pytest.fixture
def parent(home: LabHome) -> RunBuilder:
    run = build_run(home, stages=("data", "tok"))
    for stage, name in (("data", "corpus"), ("tok", "tokenizer")):
        (run.paths.run_dir / name).write_text("made")
        run.finish(stage, artifact(name, name))
    return run


def finish(home: LabHome, run_id: str, bpb: float) -> None:
    paths = RunPaths(next(home.runs_dir.glob(f"{run_id}-*")))
    entry = queue.find(home, run_id)
    if entry is not None:
        entry.path.unlink()
    run = RunBuilder(paths)
    run.log("base", step(1), Eval(step=1, val_bpb=bpb, val_sha256="a"), End(reason="finished"))


def test_dry_run_shows_every_variant_and_the_sums_and_makes_nothing(
    labcli: Labcli, home: LabHome
) -> None:
    result = labcli("sweep", "create", "base", *HERE, *GRID, "--dry-run", "--json")
    plan = json.loads(result.out)
    assert (result.code, plan["num_runs"], len(plan["variants"])) == (0, 4, 4)
    one = plan["variants"][3]
    assert one["changed"] == {"base.depth": "4", "base.matrix_lr": "0.3"}
    assert one["plan"]["stages"][0]["config"]["depth"] == 4
    disks = [item["plan"]["disk_bytes"] for item in plan["variants"]]
    assert max(disks) < plan["disk_bytes"] < sum(disks)
    assert not home.root.exists()


def test_all_that_is_wrong_is_said_before_anything_starts(labcli: Labcli, home: LabHome) -> None:
    words = ("--grid", "base.depth=2,x", "--grid", "base.matrix_lr=0.1,y")
    result = labcli("sweep", "create", "base", *HERE, *words)
    assert result.code == 2
    assert "variant 2: base.matrix_lr takes a number, not 'y'" in result.err
    assert "variants 3, 4: base.depth takes a whole number, not 'x'" in result.err
    assert "3 of 4 variants cannot be planned; no run was started" in result.err
    assert not home.root.exists()


def test_created_sweep_queues_a_run_per_variant(
    labcli: Labcli, home: LabHome, parent: RunBuilder
) -> None:
    result = labcli("sweep", "create", "base", *HERE, "--from", "last", *GRID, "--name", "lr")
    sweep = resolve_sweep(home, "lr")
    assert (result.code, result.out) == (0, sweep.slug + "\n")
    runs = [load_run(run_dir_of(home, variant) or Path()) for variant in sweep.variants]
    assert [run.position for run in runs] == [1, 2, 3, 4]
    assert [run.name for run in runs] == ["lr-1", "lr-2", "lr-3", "lr-4"]
    record = load_record(runs[2].path)
    assert record.stages[0].config["depth"] == 4
    assert record.inputs["tokenizer"]["from"] == f"{parent.run_id}:tok"
    assert record.sweep["id"] == sweep.sweep_id


def test_seeds_reach_every_stage_that_trains(labcli: Labcli, home: LabHome) -> None:
    words = ("--seeds", "2", "--until", "mid", "--dry-run", "--json")
    plan = json.loads(labcli("sweep", "create", "speedrun", *HERE, *words).out)
    stages = {s["stage"]: s["config"]["seed"] for s in plan["variants"][1]["plan"]["stages"]}
    assert (stages["base"], stages["mid"], stages["data"]) == (43, 43, 42)


def test_needed_leaves_out_what_a_finished_run_has_done(
    labcli: Labcli, home: LabHome, parent: RunBuilder
) -> None:
    source = ("--from", parent.slug)
    labcli("sweep", "create", "base", *HERE, *source, *GRID, "--name", "first")
    first = resolve_sweep(home, "first")
    finish(home, first.variants[1].run_id, 1.5)
    labcli("sweep", "stop", "first")
    labcli("sweep", "create", "base", *HERE, *source, *GRID, "--needed", "--name", "second")
    second = resolve_sweep(home, "second")
    done = [variant.same_as for variant in second.variants]
    assert done == [None, first.variants[1].run_id, None, None]
    assert len(queue.entries(home)) == 3
    status = json.loads(labcli("sweep", "status", "second", "--json").out)
    assert (status["best"], status["num_done"]) == (2, 1)
    assert status["variants"][1]["is_reused"]


def test_needed_run_that_is_done_is_named_and_not_repeated(
    labcli: Labcli, home: LabHome, parent: RunBuilder
) -> None:
    words = ("run", "base", *HERE, "--from", parent.slug, "--nproc", "1")
    slug = labcli(*words, "--queue").out.strip()
    run_id = next(view.run_id for view in list_runs(home) if view.slug == slug)
    finish(home, run_id, 1.5)
    again = labcli(*words, "--needed")
    assert (again.code, again.out) == (0, slug + "\n")
    assert f"done already by {slug}" in again.err
    other = labcli(*words, "--set", "base.depth=2", "--needed", "--queue")
    assert other.out.strip() != slug


def test_status_marks_the_best_and_sums_over_seeds(
    labcli: Labcli, home: LabHome, parent: RunBuilder
) -> None:
    words = ("--grid", "base.depth=2,4", "--seeds", "2", "--name", "s")
    labcli("sweep", "create", "base", *HERE, "--from", parent.slug, *words)
    variants = resolve_sweep(home, "s").variants
    for variant, bpb in zip(variants[:3], (2.0, 2.2, 1.5), strict=True):
        finish(home, variant.run_id, bpb)
    out = labcli("sweep", "status", "s").out
    assert "1.5000*" in out
    assert "2.1000  0.1414" in out
    assert "queued 1" in out
    assert max(map(len, out.splitlines())) <= 80


def test_stop_empties_the_queue_and_resume_fills_it_again(
    labcli: Labcli, home: LabHome, parent: RunBuilder
) -> None:
    labcli("sweep", "create", "base", *HERE, "--from", parent.slug, *GRID)
    sweep = resolve_sweep(home, "last")
    finish(home, sweep.variants[0].run_id, 1.5)
    stopped = labcli("sweep", "stop", "last")
    assert "0 stopping, 3 taken out of the queue" in stopped.err
    assert queue.entries(home) == []
    resumed = labcli("sweep", "resume", "last")
    assert resumed.code == 0
    waiting = [entry.run_id for entry in queue.entries(home)]
    assert waiting == [variant.run_id for variant in sweep.variants[1:]]


def test_resume_makes_the_runs_that_a_crash_has_left_unmade(
    labcli: Labcli, home: LabHome, parent: RunBuilder
) -> None:
    labcli("sweep", "create", "base", *HERE, "--from", parent.slug, *GRID)
    sweep = resolve_sweep(home, "last")
    lost, forgotten = sweep.variants[2:]
    run_dir = run_dir_of(home, lost)
    assert run_dir is not None
    run_dir.rename(home.root / "gone")
    for entry in queue.entries(home):
        if entry.run_id in (lost.run_id, forgotten.run_id):
            entry.path.unlink()
    assert "1 queued again, 1 made" in labcli("sweep", "resume", "last").err
    made = run_dir_of(home, lost)
    assert made is not None
    assert load_record(made).plan == lost.plan
    assert len(queue.entries(home)) == 4


def test_resume_leaves_failed_runs_alone_unless_told(
    labcli: Labcli, home: LabHome, parent: RunBuilder
) -> None:
    labcli("sweep", "create", "base", *HERE, "--from", parent.slug, "--grid", "base.depth=2")
    variant = resolve_sweep(home, "last").variants[0]
    run_dir = run_dir_of(home, variant)
    assert run_dir is not None
    queue.entries(home)[0].path.unlink()
    append_record(RunPaths(run_dir).control, "state", {"state": "failed"})
    RunBuilder(RunPaths(run_dir)).log("base", End(reason="failed"))
    assert labcli("sweep", "resume", "last").code == 2
    assert labcli("sweep", "resume", "last", "--failed").code == 0
    assert len(queue.entries(home)) == 1


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("create", "base"), "nothing varies", 2),
        (("create", "base", "--random", "3"), "add --range", 2),
        (("create", "base", "--grid", "base.dept=2"), "'depth'", 2),
        (("create", "base", "--list", "none.csv"), "cannot read none.csv", 2),
        (("create", "base", "--grid", "base.depth=2"), "name a run that has them", 2),
        (("status", "nix"), "there are no sweeps", 3),
        (("stop", "nix"), "there are no sweeps", 3),
    ],
)
def test_wrong_request_gets_one_line(
    labcli: Labcli, words: tuple[str, ...], said: str, code: int
) -> None:
    result = labcli("sweep", *words)
    assert result.code == code
    assert said in result.err.splitlines()[-1]
    assert result.out == ""

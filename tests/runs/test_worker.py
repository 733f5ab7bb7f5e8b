"""The worker: what it writes around a stage, how it resolves inputs, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.settings.setting import StageConfig
from core.stages.context import CheckpointRef, Stage, StageContext
from labcli.worker import Rank, Worker, pick_device, read_rank
from labcli.working.journal import current_phase
from labcli.working.stage_inputs import resolve_inputs
from runs.create import create_run
from runs.errors import NotFound, UsageError
from runs.events import Artifact, Checkpoint, End, Event, EventRecord, Note, Step, read_events
from runs.files import write_json
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from tests.runs.builders import make_run, toy_plan, write_events

Body = Callable[[StageContext, Callable[[], bool], CheckpointRef | None], Iterator[Event]]


def stage_of(body: Body) -> Callable[[str], Stage]:
    """Return a loader that gives the same stage whatever its name."""

    def run(
        config: StageConfig,
        ctx: StageContext,
        *,
        stop: Callable[[], bool],
        resume: CheckpointRef | None,
    ) -> Iterator[Event]:
        yield from body(ctx, stop, resume)

    def load(name: str) -> Stage:
        return run

    return load


def execute(
    paths: RunPaths, stage: str, body: Body, *, attempt: int = 1, rank: Rank | None = None
) -> tuple[int, list[EventRecord]]:
    place = rank or Rank()
    worker = Worker(paths.run_dir, stage, attempt, rank=place, load=stage_of(body))
    code = worker.run()
    return code, list(read_events(paths.events(stage, attempt, place.rank)))


def commit(paths: RunPaths, stage: str, step: int) -> Path:
    directory = paths.checkpoints_dir(stage) / f"step_{step}"
    directory.mkdir(parents=True)
    (directory / "COMMITTED").touch()
    return directory


@pytest.fixture
def paths(home: LabHome) -> RunPaths:
    return make_run(home, {"tok": {"vocab_size": 512}, "data": {}, "report": {}})


def quiet(ctx: StageContext, stop: object, resume: CheckpointRef | None) -> Iterator[Event]:
    yield Note(message="hello")


def test_start_comes_first_and_end_comes_last(paths: RunPaths) -> None:
    code, records = execute(paths, "tok", quiet)
    assert code == 0
    assert [record.kind for record in records] == ["start", "note", "end"]
    assert records[0].data["config_hash"] == "toy"
    assert records[-1].data["reason"] == "finished"


def test_end_that_the_stage_yields_is_written_once(paths: RunPaths) -> None:
    def stopped(ctx: StageContext, stop: object, resume: object) -> Iterator[Event]:
        yield End(reason="stopped")

    code, records = execute(paths, "tok", stopped)
    assert code == 0
    assert [record.data.get("reason") for record in records[1:]] == ["stopped"]


def test_expected_error_has_a_message_and_no_traceback(paths: RunPaths) -> None:
    def broken(ctx: StageContext, stop: object, resume: object) -> Iterator[Event]:
        yield Note(message="hello")
        raise UsageError("no such corpus; see labcli data list")

    code, records = execute(paths, "tok", broken)
    assert code == 1
    assert [record.kind for record in records] == ["start", "note", "error", "end"]
    assert records[2].data["message"] == "no such corpus; see labcli data list"
    assert records[2].data["traceback"] == ""
    assert records[3].data["reason"] == "failed"


def test_unexpected_error_keeps_the_tail_of_its_traceback(paths: RunPaths) -> None:
    def broken(ctx: StageContext, stop: object, resume: object) -> Iterator[Event]:
        yield Note(message=str(1 // 0))

    code, records = execute(paths, "tok", broken)
    assert code == 1
    assert records[1].data["message"].startswith("ZeroDivisionError")
    assert "1 // 0" in records[1].data["traceback"]


def test_setting_that_no_stage_has_fails_the_stage(home: LabHome) -> None:
    paths = make_run(home, {"tok": {"vocab": 3}})
    code, records = execute(paths, "tok", quiet)
    assert code == 1
    assert "closest: 'vocab_size'" in records[1].data["message"]


def test_unknown_stage_fails_and_says_so(paths: RunPaths) -> None:
    worker = Worker(paths.run_dir, "tokk", 1, rank=Rank())
    assert worker.run() == 1
    kinds = [record.kind for record in read_events(paths.events("tokk", 1))]
    assert kinds == ["error", "end"]


def test_resume_takes_the_newest_committed_checkpoint(paths: RunPaths) -> None:
    commit(paths, "tok", 5)
    newest = commit(paths, "tok", 10)
    (paths.checkpoints_dir("tok") / "step_20").mkdir()
    seen: list[CheckpointRef | None] = []

    def look(ctx: StageContext, stop: object, resume: CheckpointRef | None) -> Iterator[Event]:
        seen.append(resume)
        yield Note(message="x")

    _, records = execute(paths, "tok", look, attempt=2)
    assert seen == [CheckpointRef(path=newest, step=10)]
    assert records[0].data["resumed_from"] == 10


def test_second_attempt_without_a_checkpoint_starts_over(paths: RunPaths) -> None:
    _, records = execute(paths, "tok", quiet, attempt=2)
    assert "resumed_from" not in records[0].data


@pytest.mark.parametrize("rank", [0, 1])
def test_what_a_kill_left_of_an_artifact_goes_with_the_next_attempt(
    paths: RunPaths, rank: int
) -> None:
    directory = paths.artifacts_dir("tok")
    directory.mkdir(parents=True)
    (directory / "notes.json").write_text("{}")
    (directory / ".notes.json.4711.partial").write_text("{")
    seen: list[str] = []

    def body(ctx: StageContext, stop: object, resume: object) -> Iterator[Event]:
        seen.extend(sorted(path.name for path in ctx.artifacts_dir.iterdir()))
        yield Note(message="looked")

    execute(paths, "tok", body, attempt=2, rank=Rank(rank=rank, world_size=2))
    # Beside rank 0, which alone writes there and may do so now, no rank takes anything away.
    whole = [".notes.json.4711.partial"] if rank else []
    assert seen == [*whole, "notes.json"]


def test_stop_is_seen_by_the_stage(paths: RunPaths) -> None:
    def patient(ctx: StageContext, stop: Callable[[], bool], resume: object) -> Iterator[Event]:
        worker.stop()
        yield End(reason="stopped" if stop() else "failed")

    worker = Worker(paths.run_dir, "tok", 1, rank=Rank(), load=stage_of(patient))
    assert worker.run() == 0


def test_the_cards_that_the_user_added_reach_the_stage(paths: RunPaths) -> None:
    seen: list[float] = []

    def look(ctx: StageContext, stop: object, resume: object) -> Iterator[Event]:
        card = ctx.hardware.find("Maker New 1000")
        seen.append(card.bf16_flops if card else 0.0)
        yield End(reason="finished")

    settings = paths.home.root / "settings.toml"
    settings.write_text('[hardware."New 1000"]\nbf16_flops = 3e14\n')
    assert execute(paths, "tok", look)[0] == 0
    settings.write_text('[hardware."New 1000"]\nbf16_flop = 3e14\n')
    code, records = execute(paths, "tok", look, attempt=2)
    assert (code, seen) == (0, [3e14, 0.0])
    notes = [record.data["message"] for record in records if record.kind == "note"]
    assert len(notes) == 1 and "settings are left out" in notes[0]


def test_other_ranks_write_no_metrics(paths: RunPaths) -> None:
    def metrics(ctx: StageContext, stop: object, resume: object) -> Iterator[Event]:
        yield Step(step=1, total_steps=1, metrics={"rank": float(ctx.rank)})

    rank = Rank(rank=1, world_size=2, local_rank=1)
    _, records = execute(paths, "tok", metrics, rank=rank)
    assert [record.kind for record in records] == ["start", "end"]


def test_rank_comes_from_the_environment() -> None:
    env = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
    assert read_rank(env) == Rank(rank=3, world_size=8, local_rank=1)
    assert read_rank({}) == Rank()


@pytest.mark.parametrize(
    ("planned", "local_rank", "device"),
    [(None, None, "cpu"), ("cpu", 1, "cpu"), ("cuda", None, "cuda"), ("cuda", 1, "cuda:1")],
)
def test_device_is_that_of_the_plan(
    home: LabHome, planned: str | None, local_rank: int | None, device: str
) -> None:
    plan: dict[str, Any] = toy_plan({"tok": {}})
    if planned:
        plan["device"] = planned
    record = load_record(create_run(home, plan=plan, recipe="r", preset="p").run_dir)
    assert pick_device(record, Rank(local_rank=local_rank)) == device


def run_with_inputs(home: LabHome, wanted: dict[str, str], **fields: Any) -> RunPaths:
    plan = toy_plan({"tok": {}, "base": {}, "report": {}})
    plan["stages"][2]["inputs"] = wanted
    return create_run(home, plan=plan, recipe="r", preset="p", **fields)


def test_inputs_come_from_the_events_of_this_run(home: LabHome) -> None:
    wanted = {"tokenizer": "tok", "checkpoint": "base", "results:base": "base", "summary": "base"}
    paths = run_with_inputs(home, wanted)
    tokenizer = paths.artifacts_dir("tok") / "tokenizer.json"
    results = home.root / "results.json"
    for path in (tokenizer, results):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    relative = str(tokenizer.relative_to(paths.run_dir))
    write_events(paths, "tok", 1, Artifact(name="tokenizer", path=relative, bytes=0, sha256="t"))
    directory = commit(paths, "base", 7)
    write_events(
        paths, "base", 1, Checkpoint(step=7, path="p", bytes=0, sha256="c"),
        Artifact(name="results", path=str(results), bytes=0, sha256="r"),
    )  # fmt: skip
    write_json(paths.summary, {"v": 1})
    inputs = resolve_inputs(paths, load_record(paths.run_dir), "report")
    assert (inputs["tokenizer"].path, inputs["tokenizer"].sha256) == (tokenizer, "t")
    assert (inputs["checkpoint"].path, inputs["checkpoint"].sha256) == (directory, "c")
    assert inputs["results:base"].path == results
    assert inputs["summary"].path == paths.summary and len(inputs["summary"].sha256) == 64


def test_inputs_of_other_runs_come_from_the_launch(home: LabHome, tmp_path: Path) -> None:
    made = tmp_path / "tokenizer.json"
    made.touch()
    given = {"corpus": {"path": str(made), "sha256": "x", "from": "R:data"}}
    paths = run_with_inputs(home, {"corpus": "data"}, inputs=given)
    assert resolve_inputs(paths, load_record(paths.run_dir), "report")["corpus"].path == made
    made.unlink()
    with pytest.raises(NotFound, match="is gone"):
        resolve_inputs(paths, load_record(paths.run_dir), "report")


def test_inputs_are_found_in_a_lab_home_that_was_moved(home: LabHome, tmp_path: Path) -> None:
    kept = {
        "checkpoint": home.runs_dir / "parent" / "checkpoints" / "base" / "step_7",
        "tokenizer": home.tokenizers_dir / "mine.json",
    }
    corpus = home.data_dir / "c0ffee"
    for path in (*kept.values(), corpus):
        path.mkdir(parents=True)
    given = {name: {"path": str(path), "sha256": "x"} for name, path in kept.items()}
    wanted = {"corpus": "tok", **dict.fromkeys(kept, "elsewhere")}
    paths = run_with_inputs(home, wanted, inputs=given)
    write_events(paths, "tok", 1, Artifact(name="corpus", path=str(corpus), bytes=0, sha256="c"))
    root = tmp_path / "a bigger disk"
    home.root.rename(root)
    paths = RunPaths(root / paths.run_dir.relative_to(home.root))
    found = resolve_inputs(paths, load_record(paths.run_dir), "report")
    assert {name: one.path for name, one in found.items()} == {
        name: root / path.relative_to(home.root)
        for name, path in {"corpus": corpus, **kept}.items()
    }


def test_missing_input_says_what_to_do(home: LabHome) -> None:
    paths = run_with_inputs(home, {"corpus": "data"})
    with pytest.raises(NotFound, match="--from RUN"):
        resolve_inputs(paths, load_record(paths.run_dir), "report")
    paths = run_with_inputs(home, {"tokenizer": "tok"})
    with pytest.raises(NotFound, match="has not made 'tokenizer'"):
        resolve_inputs(paths, load_record(paths.run_dir), "report")


def test_report_finds_the_summary_of_its_run(paths: RunPaths) -> None:
    execute(paths, "tok", quiet)

    def look(ctx: StageContext, stop: object, resume: object) -> Iterator[Event]:
        yield Note(message=ctx.input("summary").path.name)

    code, records = execute(paths, "report", look)
    assert code == 0
    assert records[1].data["message"] == "summary.json"


def test_importing_the_worker_loads_no_torch() -> None:
    code = "import sys, labcli.worker; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False, env=os.environ, timeout=60)
    assert done.returncode == 0


def test_heartbeat_names_the_phase_that_the_stacks_show() -> None:
    code = "def hold(then):\n    then()\n"
    module: dict[str, Any] = {"__name__": "core.checkpoint"}
    exec(compile(code, "checkpoint.py", "exec"), module)
    inside, leave = threading.Event(), threading.Event()

    def then() -> None:
        inside.set()
        leave.wait(10)

    thread = threading.Thread(target=module["hold"], args=(then,))
    assert current_phase(sys._current_frames()) is None
    thread.start()
    assert inside.wait(10)
    assert current_phase(sys._current_frames()) == "checkpoint"
    leave.set()
    thread.join()
    assert current_phase(sys._current_frames()) is None


def test_error_of_a_rank_is_left_in_the_form_of_torchrun(paths: RunPaths, tmp_path: Path) -> None:
    def broken(ctx: StageContext, stop: object, resume: object) -> Iterator[Event]:
        yield Note(message=str(1 // 0))

    file = tmp_path / "deep" / "error.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHELASTIC_ERROR_FILE", str(file))
        execute(paths, "tok", broken)
    told = json.loads(file.read_text())["message"]
    assert told["message"].startswith("ZeroDivisionError")
    assert "1 // 0" in told["extraInfo"]["py_callstack"]


def test_worker_answers_with_stacks_and_lives_on(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "from pathlib import Path\n"
        "from labcli.working.last_words import answer_with_stacks\n"
        "answer_with_stacks(Path(sys.argv[1]))\n"
        "def here(): signal.raise_signal(signal.SIGUSR1)\n"
        "here()\n"
        "print('alive')\n"
    )
    file = tmp_path / "a1.r0.stacks"
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "alive\n"
    header, *dump = file.read_text().splitlines()
    assert set(json.loads(header)) == {"pid", "start", "boot"}
    assert any("in here" in line for line in dump)

"""The compare stage: what it answers, that it goes on bit for bit, and what it makes of it."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.experiments.compare.answers import (
    ANSWERS_FILE,
    PAIRS_FILE,
    RESULTS_FILE,
    TIMES_FILE,
    Asked,
    make_cells,
    read_answers,
)
from core.settings.experiments import CompareConfig
from core.stages import compare
from core.stages.context import Input, StageContext
from labcli.compare.experiment import results_text
from labcli.launching import experiments
from labcli.launching.experiments import GivenFile, NewExperiment, start_experiment
from labcli.working.stage_inputs import resolve_inputs
from runs.errors import Corrupt, UsageError
from runs.events import Artifact, End, Event, Note
from runs.files import sha256_file
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from runs.refs import resolve_checkpoint
from tests.cli.talking import trained_run
from tests.engine.builders import TOKENIZER, random_model, save_checkpoint, tiny_config

ASKED = Asked(models={"a": "first", "b": "second"}, prompts=("one", "two words", "three"))
CONFIG = CompareConfig(
    seed=5, temperatures=(0.0, 1.0), num_answers=2, max_new_tokens=6, batch_size=4
)
NUM_ANSWERS = 2 * 2 * 2 * 3


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Input]:
    """Two random models with one tokenizer, and what to ask them."""
    root = tmp_path_factory.mktemp("inputs")
    TOKENIZER.save(root / "tokenizer.json")
    (root / "asked.json").write_text(ASKED.to_json())
    found = {"asked": Input(path=root / "asked.json", sha256="")}
    for seed, key in enumerate("ab"):
        path = save_checkpoint(root / key, random_model(tiny_config(), seed), TOKENIZER, "sft")
        found[f"checkpoint:{key}"] = Input(path=path, sha256=sha256_file(path / "COMMITTED"))
        found[f"tokenizer:{key}"] = Input(path=root / "tokenizer.json", sha256=TOKENIZER.hash)
    return found


def context(root: Path, inputs: dict[str, Input]) -> StageContext:
    return StageContext(
        stage="compare",
        run_dir=root,
        artifacts_dir=root / "artifacts" / "compare",
        checkpoints_dir=root / "checkpoints" / "compare",
        data_dir=root / "data",
        inputs=inputs,
    )


def play(
    ctx: StageContext, stop: Callable[[], bool] = lambda: False, config: CompareConfig = CONFIG
) -> list[Event]:
    return list(compare.run(config, ctx, stop=stop, resume=None))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, inputs: dict[str, Input]) -> StageContext:
    """A comparison that nothing disturbed."""
    ctx = context(tmp_path_factory.mktemp("whole"), inputs)
    play(ctx)
    return ctx


def results(ctx: StageContext) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ctx.artifacts_dir / RESULTS_FILE).read_bytes())
    return found


def test_every_cell_is_answered_in_order(whole: StageContext) -> None:
    answers = read_answers(whole.artifacts_dir / ANSWERS_FILE)

    assert [one.cell for one in answers] == make_cells(CONFIG, ASKED)
    assert len(answers) == NUM_ANSWERS
    for one in answers:
        columns = (one.ids, one.is_forced, one.entropy_nats, one.surprisal_nats)
        assert len(set(map(len, columns))) == 1
        assert 1 <= len(one.ids) <= 6


def test_equal_settings_give_equal_files(
    whole: StageContext, inputs: dict[str, Input], tmp_path: Path
) -> None:
    again = context(tmp_path, inputs)
    play(again)

    for name in (ANSWERS_FILE, PAIRS_FILE):
        assert (again.artifacts_dir / name).read_bytes() == (
            whole.artifacts_dir / name
        ).read_bytes()


def stop_after(num: int) -> Callable[[], bool]:
    asked: Iterator[int] = iter(range(10_000))
    return lambda: next(asked) >= num


@pytest.mark.parametrize("torn", [b"", b'{"v": 1, "model": "fir'])
def test_a_stopped_comparison_goes_on_byte_for_byte(
    torn: bytes, whole: StageContext, inputs: dict[str, Input], tmp_path: Path
) -> None:
    ctx = context(tmp_path, inputs)
    path = ctx.artifacts_dir / ANSWERS_FILE

    assert play(ctx, stop_after(2))[-1] == End(reason="stopped")
    assert len(read_answers(path)) == 8
    # A batch that was cut off, then a line that was.
    kept = path.read_bytes()
    path.write_bytes(b"".join(kept.splitlines(keepends=True)[:6]) + torn)
    events = play(ctx)

    assert Note(message="goes on after 4 answers") in events
    assert path.read_bytes() == (whole.artifacts_dir / ANSWERS_FILE).read_bytes()
    assert len((ctx.artifacts_dir / TIMES_FILE).read_bytes().splitlines()) == NUM_ANSWERS


def test_answers_to_other_questions_are_not_continued(
    inputs: dict[str, Input], tmp_path: Path
) -> None:
    ctx = context(tmp_path, inputs)
    play(ctx, stop_after(2))

    with pytest.raises(UsageError, match="other questions"):
        play(ctx, config=CompareConfig(seed=6, temperatures=(0.0,), batch_size=4))


def test_what_is_announced_is_what_lies_there(inputs: dict[str, Input], tmp_path: Path) -> None:
    ctx = context(tmp_path, inputs)

    made = [event for event in play(ctx) if isinstance(event, Artifact)]

    assert [event.name for event in made] == ["answers", "times", "pairs", "results"]
    for event in made:
        assert sha256_file(tmp_path / event.path) == event.sha256


def test_figures_are_those_of_the_answers(whole: StageContext) -> None:
    answers = read_answers(whole.artifacts_dir / ANSWERS_FILE)
    own = [one for one in answers if (one.cell.key, one.cell.temperature) == ("b", 1.0)]

    row = next(r for r in results(whole)["settings"] if (r["key"], r["temperature"]) == ("b", 1.0))

    assert (row["model"], row["num_answers"]) == ("second", 6)
    assert row["num_tokens"] == sum(len(one.ids) for one in own)
    assert row["num_ended"] == sum(one.finish == "stop" for one in own)
    means = [sum(one.entropy_nats) / len(one.ids) / math.log(2) for one in own]
    assert row["entropy_bits"]["mean"] == pytest.approx(sum(means) / len(means), abs=1e-4)
    assert row["entropy_bits"]["ci_low"] <= row["entropy_bits"]["mean"]
    assert row["tok_per_sec"] > 0


def test_every_two_answers_to_a_prompt_are_a_pair(whole: StageContext) -> None:
    lines = (whole.artifacts_dir / PAIRS_FILE).read_bytes().splitlines()
    rows = [json.loads(line) for line in lines]

    per_prompt = NUM_ANSWERS // 3
    assert len(rows) == 3 * per_prompt * (per_prompt - 1) // 2
    for row in rows:
        assert (row["divergence"] is None) == (row["a"]["key"] == row["b"]["key"])


def test_the_tables_fit_a_small_terminal(whole: StageContext) -> None:
    text = results_text(results(whole), 79)

    assert max(map(len, text.splitlines())) <= 79
    assert text.startswith("A  first\nB  second\n")
    assert "A-B" in text


def test_a_file_of_questions_that_is_damaged_is_named(
    inputs: dict[str, Input], tmp_path: Path
) -> None:
    path = tmp_path / "asked.json"
    path.write_text("{}")

    with pytest.raises(Corrupt, match=r"asked\.json"):
        play(context(tmp_path, {**inputs, "asked": Input(path=path, sha256="")}))


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_worker_that_is_killed_leaves_answers_that_the_next_attempt_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = LabHome(tmp_path / "home")
    found = resolve_checkpoint(home, str(trained_run(home)))
    monkeypatch.setattr(experiments, "launch", lambda paths: 1)
    config = CompareConfig(temperatures=(1.0,), num_answers=4, max_new_tokens=60, batch_size=1)
    asked = Asked(models={"a": "model"}, prompts=("one", "two"))
    started = start_experiment(
        home,
        NewExperiment(
            stage="compare",
            config=config,
            checkpoints={"a": found},
            files={"asked": GivenFile(file_name="asked.json", content=asked.to_json().encode())},
            device="cpu",
        ),
    )

    path = started.artifacts_dir("compare") / ANSWERS_FILE
    process = work(started)
    wait_until(lambda: path.is_file() and path.stat().st_size > 0, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    num_killed = path.stat().st_size

    inputs = resolve_inputs(started, load_record(started.run_dir), "compare")
    events = play(context(started.run_dir, inputs), config=config)
    undisturbed = context(tmp_path / "other", inputs)
    play(undisturbed, config=config)

    assert events[-1] != End(reason="stopped")
    assert 0 < num_killed < path.stat().st_size
    assert path.read_bytes() == (undisturbed.artifacts_dir / ANSWERS_FILE).read_bytes()


def work(paths: RunPaths) -> subprocess.Popen[bytes]:
    words = ("-m", "labcli.worker", str(paths.run_dir), "compare", "1")
    return subprocess.Popen([sys.executable, *words], env={**os.environ, "OMP_NUM_THREADS": "1"})

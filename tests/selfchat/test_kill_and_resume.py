"""kill -9 of the worker, then of everything, in the middle of a self-chat that is resumed.

Real supervisor, real worker, real engine; the model has two layers.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.experiments.selfchat.archive import load_experiment
from core.experiments.selfchat.script import Script, dump_script
from core.settings.experiments import SelfchatConfig
from labcli.launching.experiments import GivenFile, NewExperiment, start_experiment
from labcli.selfchat.casting import cast_models
from labcli.selfchat.result import read_result
from runs.events import EventTail
from runs.paths import LabHome, RunPaths
from runs.supervision.process import find_family, send_signal
from runs.supervision.requests import resume
from runs.views.query import load_run
from tests.cli.talking import trained_run
from tests.runs.builders import kill_everything, wait_for, wait_for_state, worker_pid

STAGE = "selfchat"
TURNS = 24
CONVERSATIONS = 8
DEADLINE_S = 60.0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[LabHome]:
    """A lab home with a trained run, whose processes are ended with the test."""
    home = LabHome(tmp_path / "home")
    trained_run(home)
    yield home
    kill_everything(home)


def start(home: LabHome) -> RunPaths:
    """Launch a self-chat of a few seconds."""
    casting = cast_models(home, [])
    script = Script(casts=casting.casts, topics=("cats", "the sea"))
    config = SelfchatConfig(
        turns=TURNS, num_seeds=2, temperatures=(0.8, 1.2), max_new_tokens=24, batch_size=4,
        max_context=2000, keep_looping=True,
    )  # fmt: skip
    new = NewExperiment(
        stage=STAGE,
        config=config,
        checkpoints=casting.checkpoints,
        files={"script": GivenFile(file_name="script.json", content=dump_script(script))},
        total=TURNS * CONVERSATIONS,
        device="cpu",
    )
    return start_experiment(home, new)


def num_turns(paths: RunPaths) -> int:
    """Return how many turns were written so far."""
    try:
        return (paths.artifacts_dir(STAGE) / "turns.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def kill_at(paths: RunPaths, turns: int, *, everything: bool) -> None:
    """Kill the worker, or the supervisor and the worker, when so many turns are written."""
    wait_for(lambda: num_turns(paths) >= turns, f"{turns} turns", deadline_s=DEADLINE_S)
    worker = worker_pid(paths, STAGE)
    family = find_family(paths.run_dir.name[:26])
    for identity in sorted(family, key=lambda one: one.pid == worker):
        if everything or identity.pid == worker:
            send_signal(identity, signal.SIGKILL)
    wait_for_state(paths, "killed", "crashed", deadline_s=DEADLINE_S)
    assert turns <= num_turns(paths) < TURNS * CONVERSATIONS


def outcome(paths: RunPaths) -> dict[str, bytes]:
    """Return the files that depend on the settings alone."""
    names = ("transcripts.jsonl", "experiment.json", "tokens.parquet", "summary.json")
    return {name: (paths.artifacts_dir(STAGE) / name).read_bytes() for name in names}


def test_a_killed_selfchat_resumes_to_the_same_bytes(home: LabHome) -> None:
    whole, cut = start(home), start(home)
    kill_at(cut, 8, everything=False)
    resume(cut.run_dir)
    kill_at(cut, 60, everything=True)
    resume(cut.run_dir)
    for paths in (whole, cut):
        view = wait_for_state(paths, "finished", "failed", deadline_s=DEADLINE_S)
        assert view.state == "finished", view.problem
    assert load_run(cut.run_dir).stages[0].attempt == 3
    assert outcome(cut) == outcome(whole)
    experiment = load_experiment(cut.artifacts_dir(STAGE))
    assert [len(one.turns) for one in experiment.conversations] == [TURNS] * CONVERSATIONS
    assert {one.end for one in experiment.conversations} == {"max_turns"}
    assert b"wall_s" not in outcome(whole)["transcripts.jsonl"]
    result = read_result(whole.run_dir)
    assert [one["temperature"] for one in result["settings"]] == [0.8, 1.2]
    assert result["settings"][0]["metrics"]["entropy_bits"]["mean"] > 0
    check_events(cut)


def check_events(paths: RunPaths) -> None:
    """Every turn was told once, in a line that fits, and lies where its event says."""
    turns = (paths.artifacts_dir(STAGE) / "turns.jsonl").read_bytes()
    told = set()
    for file in sorted(paths.events_dir.glob("selfchat.a*.jsonl")):
        assert max(map(len, file.read_bytes().splitlines())) < 4096
        for record in EventTail(file).read():
            if record.kind == "turn":
                data = record.data
                line = turns[data["offset"] : data["offset"] + data["bytes"]]
                start = f'"conversation":{data["conversation"]},"index":{data["index"]}'
                assert start.encode() in line and line.endswith(b"\n")
                assert (data["conversation"], data["index"]) not in told
                told.add((data["conversation"], data["index"]))
    # A kill may fall between a turn and the event that tells of it.
    assert TURNS * CONVERSATIONS - 2 <= len(told) <= TURNS * CONVERSATIONS

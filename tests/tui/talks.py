"""Runs of self-chats as the stage writes them: a finished one, and one that grows turn by turn."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from core.experiments.measures.summary import summarise
from core.experiments.selfchat.archive import (
    EXPERIMENT_FILE,
    STAGE,
    SUMMARY_FILE,
    TRANSCRIPTS_FILE,
    TURNS_FILE,
    experiment_text,
    transcripts_text,
)
from core.experiments.selfchat.journal import TurnJournal
from core.experiments.selfchat.talk import Said
from core.experiments.selfchat.transcript import Conversation, Experiment, Turn, with_turns
from core.settings.experiments import SelfchatConfig
from core.stages.selfchat import turn_event
from runs.create import create_run
from runs.events import End, EventLog
from runs.paths import LabHome, RunPaths
from tests.selfchat_views.builders import make_tokenizer
from tests.tui.builders import RunBuilder, Ticker


def new_talk(home: LabHome, *, name: str, t: float, seed: int = 1) -> RunBuilder:
    """Return the run of a self-chat that nobody has started; its tokenizer is of single bytes."""
    path = home.root / f"{name}-tokenizer.json"
    home.root.mkdir(parents=True, exist_ok=True)
    make_tokenizer().save(path)
    stage = {
        "stage": STAGE, "config": asdict(SelfchatConfig()), "config_hash": "0" * 16,
        "inputs": {}, "total": None, "nproc": 1,
    }  # fmt: skip
    clock = Ticker(t)
    paths = create_run(
        home,
        plan={"recipe": STAGE, "preset": "", "device": "cpu", "stages": [stage]},
        recipe=STAGE,
        preset="",
        name=name,
        inputs={"tokenizer:a": {"path": str(path), "sha256": "", "from": "tok"}},
        clock=clock,
        entropy=lambda num_bytes: seed.to_bytes(num_bytes, "big"),
    )
    return RunBuilder(paths, clock)


def announced(paths: RunPaths, experiment: Experiment) -> Path:
    """Write which conversations there will be, without a turn; return where the artifacts lie."""
    artifacts = paths.artifacts_dir(STAGE)
    artifacts.mkdir(parents=True, exist_ok=True)
    empty = tuple(replace(one, turns=(), end=None) for one in experiment.conversations)
    text = experiment_text(replace(experiment, conversations=empty))
    (artifacts / EXPERIMENT_FILE).write_text(text, encoding="utf-8")
    return artifacts


def taken(
    run: RunBuilder, log: EventLog, experiment: Experiment, one: Conversation, turn: Turn
) -> None:
    """Append a turn as the stage does: the line first, then its event; the last one has the end."""
    settings = {setting.index: setting for setting in experiment.settings}
    before = with_turns([one], one.turns[: turn.index + 1])[0]
    is_last = turn.index == len(one.turns) - 1
    said = Said(conversation=replace(before, end=one.end if is_last else None), turn=turn)
    relative = f"artifacts/{STAGE}/{TURNS_FILE}"
    with TurnJournal(run.run_dir / relative) as journal:
        line = journal.append(turn, elapsed_s=1.0)
    log.append(turn_event(said, settings[one.setting], relative, line))


def finished_talk(home: LabHome, experiment: Experiment, *, name: str, t: float) -> RunBuilder:
    """Return a self-chat that has ended, with its findings."""
    run = new_talk(home, name=name, t=t).supervised()
    with run.attempt(STAGE) as log:
        artifacts = announced(run.paths, experiment)
        close(artifacts, experiment)
        log.append(End(reason="finished"))
    run.exited(STAGE)
    run.ended("finished")
    return run


def close(artifacts: Path, experiment: Experiment) -> None:
    """Write what the stage writes when it ends."""
    (artifacts / TRANSCRIPTS_FILE).write_text(transcripts_text(experiment), encoding="utf-8")
    (artifacts / EXPERIMENT_FILE).write_text(experiment_text(experiment), encoding="utf-8")
    text = json.dumps(summarise(experiment).to_json())
    (artifacts / SUMMARY_FILE).write_text(text, encoding="utf-8")

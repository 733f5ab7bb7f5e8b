"""A self-chat on disk: its plan of conversations and its sorted transcript. Torch-free.

`load_experiment` reads one that is still going on as well as one that has ended.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from core.experiments.selfchat.transcript import (
    Conversation,
    Experiment,
    Setting,
    Turn,
    read_turns,
    turn_row,
    with_turns,
)
from runs.errors import Corrupt, NotFound

VERSION = 1
# The stage that talks, and the recipe of a run that has no other.
STAGE = "selfchat"
EXPERIMENT_FILE = "experiment.json"
TURNS_FILE = "turns.jsonl"
TRANSCRIPTS_FILE = "transcripts.jsonl"
TOKENS_FILE = "tokens.parquet"
SUMMARY_FILE = "summary.json"
PAGE_FILE = "report.html"
_OF_CONVERSATION = ("number", "setting", "seed", "topic", "end", "topic_embedding")


def experiment_text(experiment: Experiment) -> str:
    """Return settings and conversations without their turns, as experiment.json holds them."""
    body = {
        "v": VERSION,
        "settings": [asdict(setting) for setting in experiment.settings],
        "conversations": [
            {name: getattr(one, name) for name in _OF_CONVERSATION}
            for one in experiment.conversations
        ],
    }
    return json.dumps(body, ensure_ascii=False, indent=1) + "\n"


def transcripts_text(experiment: Experiment) -> str:
    """Return every turn, sorted by conversation and place, one per line and without times."""
    return "".join(
        json.dumps(turn_row(replace(turn, wall_s=None)), ensure_ascii=False, separators=(",", ":"))
        + "\n"
        for one in experiment.conversations
        for turn in one.turns
    )


def load_experiment(artifacts_dir: Path) -> Experiment:
    """Return the self-chat in a directory of artifacts, as far as it has come.

    Raises:
        NotFound: no self-chat has begun there.
        Corrupt: its files cannot be read.
    """
    path = artifacts_dir / EXPERIMENT_FILE
    try:
        body = json.loads(path.read_bytes())
        settings = tuple(Setting(**row) for row in body["settings"])
        conversations = [_conversation(row) for row in body["conversations"]]
    except OSError:
        raise NotFound(f"no self-chat in {artifacts_dir}; it may not have begun yet") from None
    except (ValueError, KeyError, TypeError):
        raise Corrupt(f"{path} is no readable self-chat") from None
    turns: list[Turn] = []
    for name in (TRANSCRIPTS_FILE, TURNS_FILE):
        if (artifacts_dir / name).is_file():
            turns = read_turns(artifacts_dir / name)
            break
    return Experiment(settings=settings, conversations=with_turns(conversations, turns))


def _conversation(row: dict[str, Any]) -> Conversation:
    vector = row["topic_embedding"]
    known = {**row, "topic_embedding": None if vector is None else tuple(vector)}
    return Conversation(**known)

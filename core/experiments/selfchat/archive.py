"""A self-chat on disk: its plan of conversations, its sorted transcript, its table of tokens.

`load_experiment` reads one that is still going on as well as one that has ended.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

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
EXPERIMENT_FILE = "experiment.json"
TURNS_FILE = "turns.jsonl"
TRANSCRIPTS_FILE = "transcripts.jsonl"
TOKENS_FILE = "tokens.parquet"
SUMMARY_FILE = "summary.json"
PAGE_FILE = "report.html"
_OF_CONVERSATION = ("number", "setting", "seed", "topic", "end", "topic_embedding")
_TOKEN_COLUMNS = {
    "conversation": pa.int32(),
    "setting": pa.int32(),
    "seed": pa.int32(),
    "turn": pa.int32(),
    "side": pa.string(),
    "position": pa.int32(),
    "id": pa.int32(),
    "entropy_nats": pa.float32(),
    "surprisal_nats": pa.float32(),
    "other_surprisal_nats": pa.float32(),
    "rank": pa.int32(),
    "is_forced": pa.bool_(),
    "top_ids": pa.list_(pa.int32()),
    "top_probs": pa.list_(pa.float32()),
}


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


def tokens_table(experiment: Experiment) -> bytes:
    """Return a Parquet file with a row per token."""
    columns: dict[str, list[Any]] = {name: [] for name in _TOKEN_COLUMNS}
    for one in experiment.conversations:
        for turn in one.turns:
            for row in _token_rows(one, turn):
                for name, value in row.items():
                    columns[name].append(value)
    schema = pa.schema(list(_TOKEN_COLUMNS.items()))
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=schema), buffer, compression="zstd")
    return buffer.getvalue()


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


def _token_rows(conversation: Conversation, turn: Turn) -> Iterator[dict[str, Any]]:
    tokens = turn.tokens
    others = tokens.other_surprisal_nats
    for position, token_id in enumerate(tokens.ids):
        yield {
            "conversation": conversation.number,
            "setting": conversation.setting,
            "seed": conversation.seed,
            "turn": turn.index,
            "side": turn.side,
            "position": position,
            "id": token_id,
            "entropy_nats": tokens.entropy_nats[position],
            "surprisal_nats": tokens.surprisal_nats[position],
            "other_surprisal_nats": None if others is None else others[position],
            "rank": tokens.rank[position],
            "is_forced": tokens.is_forced[position],
            "top_ids": list(tokens.top_ids[position]) if tokens.top_ids else [],
            "top_probs": list(tokens.top_probs[position]) if tokens.top_probs else [],
        }

"""The tokens of a self-chat as a table: a row each, for other tools. Torch-free."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.experiments.selfchat.transcript import Conversation, Experiment, Turn

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

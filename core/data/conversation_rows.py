"""Conversations from JSONL files, rendered and packed for training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core.chat_format import render
from core.data.tokens import TokenSplit, ragged
from core.tokenizer import Tokenizer
from runs.errors import Corrupt


def read_conversations(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a conversation file; Corrupt names the first line that is none."""
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                item = json.loads(line)
                item["messages"]
            except (ValueError, KeyError, TypeError):
                raise Corrupt(f"{path}:{number} is not a conversation; rebuild the data") from None
            yield item


def render_conversations(path: Path, tokenizer: Tokenizer) -> TokenSplit:
    """Return every conversation of a file as tokens with a loss mask."""
    rendered = (render(tokenizer, item["messages"]) for item in read_conversations(path))
    return ragged(
        ((conversation.ids, conversation.mask) for conversation in rendered),
        is_wide=tokenizer.id_dtype is np.uint32,
    )

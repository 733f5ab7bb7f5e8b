"""Fitting a conversation into a model's positions. Torch-free.

The engine refuses what does not fit. Who would rather go on may drop the oldest turns first: a
system text and the last user turn always stay, and turns go in pairs of question and answer, so
that user and assistant keep taking turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.chat_format import render_for_completion
from core.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A conversation's ids up to assistant_start, and how many of its messages were dropped."""

    prompt_ids: tuple[int, ...]
    num_dropped: int


def fit(tokenizer: Tokenizer, messages: Sequence[Mapping[str, Any]], max_tokens: int) -> Fitted:
    """Return the conversation without its oldest turns, as few as fit into max_tokens.

    When the system text and the last user turn alone are longer, they are returned as they are,
    for the engine to refuse.
    """
    has_system = bool(messages) and messages[0].get("role") == "system"
    system, turns = list(messages[:has_system]), list(messages[has_system:])
    num_dropped = 0
    ids = render_for_completion(tokenizer, messages)
    while len(ids) > max_tokens and len(turns) - num_dropped > 1:
        num_dropped += 2
        ids = render_for_completion(tokenizer, [*system, *turns[num_dropped:]])
    return Fitted(prompt_ids=tuple(ids), num_dropped=num_dropped)

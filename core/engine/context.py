"""The one rule for a conversation that is too long for a model's positions. Torch-free.

The engine refuses what does not fit. Who would rather go on leaves the oldest turns unread: a
question with its answer each time, never the system text or the last question. As soon as a
conversation outgrows its room, so many go that the rest takes three quarters of it: the prompts
after that begin alike, and the cache holds that beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

from core.chat_format import Message, parse_messages, segments
from core.tokenizer import Tokenizer
from runs.errors import UsageError

SHARE_KEPT = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A conversation's ids up to assistant_start, and how many of its messages were dropped.

    Dropped are the oldest after the system text, always an even number: two per turn.
    """

    prompt_ids: tuple[int, ...]
    num_dropped: int


def fit(tokenizer: Tokenizer, messages: Sequence[Mapping[str, Any]], room: int) -> Fitted:
    """Return a conversation that ends with the user, cut as it outgrew `room` tokens.

    The cut is found by asking every question of the conversation again, so nothing needs to be
    remembered between two calls: a longer conversation keeps the cut of a shorter one until it
    outgrows the room too. When the system text and the last question alone are longer than the
    room, they are returned as they are, for the engine to refuse.

    Raises:
        UsageError: a bad role, content or order of the messages.
    """
    if parse_messages(messages)[-1].role != "user":
        raise UsageError("the last message must be the user's for the assistant to answer")
    has_system = messages[0]["role"] == "system"
    system, turns = messages[:has_system], messages[has_system:]
    ids = [_ids(tokenizer, message) for message in parse_messages(turns)]
    before = list(accumulate(map(len, ids), initial=0))

    @cache
    def opening(first: int) -> list[int]:
        """Return the ids of the first question that is read; it carries the system text."""
        return _ids(tokenizer, parse_messages([*system, turns[first]])[0]) if system else ids[first]

    def length(first: int, last: int) -> int:
        # Two more: bos and assistant_start.
        return len(opening(first)) + before[last + 1] - before[first + 1] + 2

    first = 0
    for asked in range(0, len(turns), 2):
        if length(first, asked) > room:
            while first < asked and length(first, asked) > SHARE_KEPT * room:
                first += 2
    kept = [token_id for message_ids in ids[first + 1 :] for token_id in message_ids]
    end = tokenizer.special("assistant_start")
    return Fitted(prompt_ids=(tokenizer.bos, *opening(first), *kept, end), num_dropped=first)


def _ids(tokenizer: Tokenizer, message: Message) -> list[int]:
    """Return the ids of a message with its markers, without what opens a conversation."""
    opened = segments(tokenizer, [message])
    next(opened)
    return [token_id for segment in opened for token_id in segment.ids]

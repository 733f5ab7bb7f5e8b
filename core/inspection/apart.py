"""Why two neighbouring tokens of a text are not one token. Torch-free.

Inside a word the encoder joins neighbours for as long as their joined bytes are a token, so two
tokens that stay apart never have a token of their joined bytes. What can be said beyond that is
which other token lies across the border, and which earlier merge took a part of it away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.inspection.explained import Explained
from core.inspection.merges import Step, merge_steps
from core.tokenizer import Tokenizer
from runs.errors import UsageError

Kind = Literal["end of text", "special token", "left-out text", "word border", "no such token"]
# Tokens across a border are looked for up to this length: pairs of offsets grow with its square.
MAX_ACROSS_BYTES = 64
# Words up to this length are replayed, in some 50 ms.
MAX_REPLAYED_BYTES = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A token whose bytes lie across the border, and why it did not come about.

    `start` and `end` are bytes of the text. `taken_by` is the first merge that joined some of its
    bytes with bytes outside it, offsets from the start of the word, and `taker` the bytes that
    it made; absent where no merges make the token out of its own bytes.
    """

    id: int
    data: bytes
    start: int
    end: int
    taken_by: Step | None = None
    taker: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why token `index` is not one with the next.

    `joined_id` is the token of their joined bytes; it can exist across a word border only. `lost`
    is the lowest-ranked token across the border, one that merges can make where there is one.
    """

    kind: Kind
    index: int
    joined: bytes = b""
    joined_id: int | None = None
    lost: Lost | None = None


def why_apart(tokenizer: Tokenizer, explained: Explained, index: int) -> Reason:
    """Return why token `index` and the one after it did not merge.

    Raises:
        UsageError: the text has no token of that index.
    """
    if not 0 <= index < explained.num_tokens:
        raise UsageError(f"there is no token {index}; the text has {explained.num_tokens}")
    if index + 1 == explained.num_tokens:
        return Reason(kind="end of text", index=index)
    first_special = tokenizer.vocab_size - tokenizer.num_specials
    if max(explained.ids[index : index + 2]) >= first_special:
        return Reason(kind="special token", index=index)
    if explained.ends[index] != explained.starts[index + 1]:
        return Reason(kind="left-out text", index=index)
    joined = explained.token(index) + explained.token(index + 1)
    joined_id = tokenizer.mergeable_ranks.get(joined)
    if explained.words[index] != explained.words[index + 1]:
        return Reason(kind="word border", index=index, joined=joined, joined_id=joined_id)
    return Reason(
        kind="no such token",
        index=index,
        joined=joined,
        joined_id=joined_id,
        lost=_lost(tokenizer, explained, index),
    )


def _lost(tokenizer: Tokenizer, explained: Explained, index: int) -> Lost | None:
    word_start, word_end = explained.word_span(int(explained.words[index]))
    if word_end - word_start > MAX_REPLAYED_BYTES:
        return None
    word = explained.data[word_start:word_end]
    border = int(explained.ends[index]) - word_start
    steps: tuple[Step, ...] | None = None
    unreachable: Lost | None = None
    for rank, start, end in _across(tokenizer, word, border):
        steps = merge_steps(tokenizer, word) if steps is None else steps
        is_reachable = _makes_one(tokenizer, word[start:end])
        taken_by = _first_crossing(steps, start, end) if is_reachable else None
        lost = Lost(
            id=rank,
            data=word[start:end],
            start=word_start + start,
            end=word_start + end,
            taken_by=taken_by,
            taker=word[taken_by.start : taken_by.end] if taken_by else b"",
        )
        if is_reachable:
            return lost
        unreachable = unreachable or lost
    return unreachable


def _across(tokenizer: Tokenizer, word: bytes, border: int) -> list[tuple[int, int, int]]:
    """Return the tokens that occur across a border as (rank, start, end), low ranks first."""
    ranks = tokenizer.mergeable_ranks
    found = []
    for start in range(max(border - MAX_ACROSS_BYTES, 0), border):
        for end in range(border + 1, min(start + MAX_ACROSS_BYTES, len(word)) + 1):
            rank = ranks.get(word[start:end])
            if rank is not None:
                found.append((rank, start, end))
    return sorted(found)


def _makes_one(tokenizer: Tokenizer, data: bytes) -> bool:
    steps = merge_steps(tokenizer, data)
    return bool(steps) and (steps[-1].start, steps[-1].end) == (0, len(data))


def _first_crossing(steps: Sequence[Step], start: int, end: int) -> Step | None:
    """Return the first merge over an edge of data[start:end].

    There is one for every token that its own bytes can make: without it, they would have made it.
    """
    for step in steps:
        if step.start < start < step.end or step.start < end < step.end:
            return step
    return None

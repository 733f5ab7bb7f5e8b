"""What is left unread of a conversation that outgrows its room."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chat_format import render_for_completion
from core.engine.context import SHARE_KEPT, Fitted, fit
from runs.errors import UsageError
from tests.engine.builders import TOKENIZER

SYSTEM = {"role": "system", "content": "be kind"}


def talk(lengths: Sequence[int]) -> list[dict[str, Any]]:
    """Return turns of these numbers of characters, the first and every second one the user's."""
    roles = ("user", "assistant")
    return [
        {"role": roles[index % 2], "content": chr(97 + index % 26) * length}
        for index, length in enumerate(lengths)
    ]


def read(messages: list[dict[str, Any]], num_dropped: int) -> tuple[int, ...]:
    """Return the prompt of what is left when so many messages are dropped."""
    has_system = messages[0]["role"] == "system"
    kept = [*messages[:has_system], *messages[has_system + num_dropped :]]
    return tuple(render_for_completion(TOKENIZER, kept))


def test_a_conversation_that_fits_is_read_whole() -> None:
    messages = [SYSTEM, *talk([5, 5, 5])]
    assert fit(TOKENIZER, messages, 100) == Fitted(prompt_ids=read(messages, 0), num_dropped=0)


def test_the_system_text_and_the_last_question_always_stay() -> None:
    messages = [SYSTEM, *talk([10] * 9)]

    least = fit(TOKENIZER, messages, 1)

    assert least == Fitted(prompt_ids=read([SYSTEM, messages[-1]], 0), num_dropped=8)
    assert "be kind" in TOKENIZER.decode(least.prompt_ids)


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([], "at least one message"),
        (talk([3, 3]), "last message must be the user's"),
        ([SYSTEM], "must be followed"),
        ([{"role": "assistant", "content": "x"}], "must speak"),
    ],
)
def test_what_is_no_question_is_refused(messages: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        fit(TOKENIZER, messages, 100)


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=41).filter(lambda x: len(x) % 2),
    room=st.integers(80, 300),
    has_system=st.booleans(),
)
def test_prompts_begin_alike_from_one_question_to_the_next_until_a_cut(
    lengths: list[int], room: int, has_system: bool
) -> None:
    messages = [SYSTEM] * has_system + talk(lengths)
    asked = [messages[: has_system + num_turns] for num_turns in range(1, len(lengths) + 1, 2)]

    fitted = [fit(TOKENIZER, each, room) for each in asked]

    assert fitted[0].num_dropped == 0
    for each, one in zip(asked, fitted, strict=True):
        assert one.prompt_ids == read(each, one.num_dropped)
        assert one.num_dropped % 2 == 0
        assert len(one.prompt_ids) <= room
    for each, (before, after) in zip(asked[1:], pairwise(fitted), strict=True):
        if len(read(each, before.num_dropped)) <= room:
            assert after.num_dropped == before.num_dropped
            assert after.prompt_ids[: len(before.prompt_ids)] == before.prompt_ids
        else:
            is_last = after.num_dropped == len(each) - has_system - 1
            assert len(after.prompt_ids) <= SHARE_KEPT * room or is_last
            # No turn goes that did not have to.
            assert len(read(each, after.num_dropped - 2)) > SHARE_KEPT * room

"""Conversations as ids and masks, and text that arrives byte by byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.chat_format import Utf8Stream, parse_messages, render, render_for_completion
from core.tokenizer import Tokenizer
from runs.errors import UsageError
from tests.tokenizer.builders import trained

# Without merges every byte is its own id, and the specials are 256 to 264.
BYTES = Tokenizer(())
BOS, USER, USER_END, ASSISTANT, ASSISTANT_END, PYTHON, PYTHON_END, OUTPUT, OUTPUT_END = range(
    256, 265
)

TOOL_CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "hi"},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "a"},
            {"type": "python", "text": "1+1"},
            {"type": "python_output", "text": "2"},
            {"type": "text", "text": "b"},
        ],
    },
    {"role": "user", "content": "ok"},
    {"role": "assistant", "content": "c"},
]


def say(*roles: str) -> list[dict[str, str]]:
    return [{"role": role, "content": "x"} for role in roles]


def test_a_tool_conversation_is_rendered_with_the_mask_on_what_the_assistant_says() -> None:
    rendered = render(BYTES, TOOL_CONVERSATION)
    expected = [
        (BOS, 0),
        (USER, 0), *[(byte, 0) for byte in b"S\n\nhi"], (USER_END, 0),
        (ASSISTANT, 0), (ord("a"), 1),
        (PYTHON, 1), *[(byte, 1) for byte in b"1+1"], (PYTHON_END, 1),
        (OUTPUT, 0), (ord("2"), 0), (OUTPUT_END, 0),
        (ord("b"), 1), (ASSISTANT_END, 1),
        (USER, 0), *[(byte, 0) for byte in b"ok"], (USER_END, 0),
        (ASSISTANT, 0), (ord("c"), 1), (ASSISTANT_END, 1),
    ]  # fmt: skip
    assert list(zip(rendered.ids, rendered.mask, strict=True)) == expected


def test_truncation_cuts_ids_and_mask_alike() -> None:
    whole, cut = render(BYTES, TOOL_CONVERSATION), render(BYTES, TOOL_CONVERSATION, max_tokens=12)
    assert (cut.ids, cut.mask) == (whole.ids[:12], whole.mask[:12])
    assert render(BYTES, TOOL_CONVERSATION, max_tokens=10**6).ids == whole.ids


def test_parts_are_encoded_on_their_own() -> None:
    tokenizer = trained()
    parts = [{"type": "text", "text": "tokeni"}, {"type": "text", "text": "zer"}]
    ids = render(
        tokenizer, [{"role": "user", "content": "x"}, {"role": "assistant", "content": parts}]
    ).ids
    assert ids[-1 - len(tokenizer.encode("zer")) : -1] == tokenizer.encode("zer")
    assert tokenizer.encode("tokenizer") != tokenizer.encode("tokeni") + tokenizer.encode("zer")


def test_completion_ends_where_the_assistant_begins() -> None:
    ids = render_for_completion(BYTES, say("user"))
    assert ids == [BOS, USER, ord("x"), USER_END, ASSISTANT]
    with pytest.raises(UsageError, match="must be the user's"):
        render_for_completion(BYTES, say("user", "assistant"))


def test_markers_written_by_a_user_stay_text() -> None:
    text = "<|assistant_end|><|bos|>"
    ids = render_for_completion(BYTES, [{"role": "user", "content": text}])
    assert ids == [BOS, USER, *text.encode(), USER_END, ASSISTANT]


def test_text_parts_of_a_user_are_one_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    (message,) = parse_messages([{"role": "user", "content": parts}])
    assert [part.text for part in message.parts] == ["ab"]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "at least one"),
        (say("system"), "followed by a user"),
        (say("assistant"), "message 0 is from 'assistant'"),
        (say("user", "user"), "message 1 is from 'user'"),
        (say("user", "system"), "message 1 is from 'system'"),
        (say("system", "assistant"), "message 1 is from 'assistant'"),
        (say("users"), "role 'users'; closest: 'user'"),
        ([{"content": "x"}], "role None"),
        (["x"], "role None"),
        ([{"role": "user"}], "neither text nor a list"),
        ([{"role": "user", "content": 3}], "neither text nor a list"),
        ([{"role": "user", "content": [{"type": "text"}]}], "part without a text"),
        ([{"role": "user", "content": [{"type": "python", "text": "1"}]}], "only the assistant"),
        ([{"role": "user", "content": [{"type": "tex", "text": "1"}]}], "type 'tex'"),
    ],
)
def test_a_malformed_conversation_is_a_usage_error(messages: list[Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        render(BYTES, messages)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=40) | st.text(max_size=20).map(str.encode), step=st.integers(1, 5))
def test_streamed_text_equals_the_text_at_once(data: bytes, step: int) -> None:
    stream = Utf8Stream()
    parts = [stream.push(data[start : start + step]) for start in range(0, len(data), step)]
    assert "".join(parts) + stream.flush() == data.decode("utf-8", errors="replace")


def test_an_unfinished_character_is_held_back_until_it_is_whole() -> None:
    stream = Utf8Stream()
    assert [stream.push(bytes([byte])) for byte in "\u5b57!".encode()] == ["", "", "\u5b57", "!"]
    assert stream.push(b"\xf0\x9f") == ""
    assert stream.flush() == "\ufffd"
    assert stream.push(b"a") == "a"

"""A conversation token by token equals what training renders."""

from __future__ import annotations

from typing import Any

from core.chat_format import render
from core.inspection.conversation import conversation_tokens
from tests.tokenizer.builders import trained

TOKENIZER = trained()
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 2+2?"},
    {
        "role": "assistant",
        "content": [
            {"type": "python", "text": "2+2"},
            {"type": "python_output", "text": "4"},
            {"type": "text", "text": "It is 4."},
        ],
    },
    {"role": "user", "content": "<|assistant_start|>"},
]


def test_every_token_of_a_conversation_is_the_one_that_training_sees() -> None:
    rendered = render(TOKENIZER, MESSAGES)
    rows = conversation_tokens(TOKENIZER, MESSAGES)
    assert [row.id for row in rows] == rendered.ids
    assert [row.mask for row in rows] == rendered.mask
    assert [row.index for row in rows] == list(range(len(rows)))


def test_tokens_of_a_conversation_know_their_turn_speaker_and_part() -> None:
    rows = conversation_tokens(TOKENIZER, MESSAGES)
    assert (rows[0].message, rows[0].role, rows[0].part) == (None, None, None)
    told = {
        (row.message, row.role, row.part, row.mask): b"".join(
            other.data
            for other in rows
            if (other.message, other.role, other.part, other.mask)
            == (row.message, row.role, row.part, row.mask)
        )
        for row in rows[1:]
    }
    assert told == {
        (0, "user", None, 0): b"<|user_start|><|user_end|>",
        (0, "user", "text", 0): b"Be brief.\n\nWhat is 2+2?",
        (1, "assistant", None, 0): b"<|assistant_start|>",
        (1, "assistant", "python", 1): b"<|python_start|>2+2<|python_end|>",
        (1, "assistant", "python_output", 0): b"<|output_start|>4<|output_end|>",
        (1, "assistant", "text", 1): b"It is 4.",
        (1, "assistant", None, 1): b"<|assistant_end|>",
        (2, "user", None, 0): b"<|user_start|><|user_end|>",
        (2, "user", "text", 0): b"<|assistant_start|>",
    }


def test_only_markers_are_special_and_a_written_marker_is_text() -> None:
    rows = conversation_tokens(TOKENIZER, MESSAGES)
    assert sum(row.is_special for row in rows) == 11
    assert not any(row.is_special for row in rows if row.message == 2 and row.part)

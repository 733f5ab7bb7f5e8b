"""Reading an answer: whole characters, tool parts, misplaced markers."""

from __future__ import annotations

from core.chat_format import Part
from core.engine.answer import AnswerReader, readable
from tests.engine.builders import TOKENIZER

special = TOKENIZER.special


def test_text_is_given_out_in_whole_characters_only() -> None:
    reader = AnswerReader(TOKENIZER)

    pieces = [reader.push(token_id) for token_id in TOKENIZER.encode("a\u00e9\U0001f600b")]

    texts = ["".join(part.text for part in piece) for piece in pieces]
    assert texts == ["a", "", "\u00e9", "", "", "", "\U0001f600", "b"]
    assert reader.close() == ()
    assert reader.parts == (Part(type="text", text="a\u00e9\U0001f600b"),)


def test_a_character_that_is_cut_off_becomes_a_replacement_mark() -> None:
    reader = AnswerReader(TOKENIZER)

    for token_id in TOKENIZER.encode("\U0001f600")[:2]:
        assert reader.push(token_id) == ()

    assert reader.close() == (Part(type="text", text="\ufffd"),)


def test_tool_parts_come_whole_and_split_the_text() -> None:
    reader = AnswerReader(TOKENIZER)
    ids = [
        *TOKENIZER.encode("so "),
        special("python_start"), *TOKENIZER.encode("1+1"), special("python_end"),
        special("output_start"), *TOKENIZER.encode("2"), special("output_end"),
        *TOKENIZER.encode("two"),
    ]  # fmt: skip

    pieces = [piece for token_id in ids for piece in reader.push(token_id)]

    assert [piece.text for piece in pieces] == ["s", "o", " ", "1+1", "2", "t", "w", "o"]
    assert reader.parts == (
        Part(type="text", text="so "),
        Part(type="python", text="1+1"),
        Part(type="python_output", text="2"),
        Part(type="text", text="two"),
    )


def test_misplaced_markers_leave_readable_text() -> None:
    reader = AnswerReader(TOKENIZER)

    for token_id in [special("output_end"), *TOKENIZER.encode("a"), special("user_start"), 98]:
        reader.push(token_id)
    for token_id in [special("python_start"), *TOKENIZER.encode("1+"), special("output_start"), 51]:
        reader.push(token_id)
    reader.close()

    assert reader.parts == (
        Part(type="text", text="ab"),
        Part(type="python", text="1+"),
        Part(type="python_output", text="3"),
    )


def test_a_text_stands_apart_from_the_tool_call_before_it() -> None:
    call, result = Part(type="python", text="2*3"), Part(type="python_output", text="6")
    assert readable([call, result, Part(type="text", text="It is 6.")]) == "[2*3 = 6] It is 6."
    assert readable([call, result, Part(type="text", text=" It is 6.")]) == "[2*3 = 6] It is 6."
    assert readable([call, Part(type="text", text="no")]) == "[2*3] no"

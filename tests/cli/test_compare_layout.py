"""Columns side by side: bands, wrapping, marks, frames, and what is measured of each."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import pytest

from labcli.compare.columns import Column, combine, difference
from labcli.compare.layout import Layout, block, firsts_of
from labcli.compare.race import Race
from labcli.compare.show import frame
from labcli.speaking.speaker import Speaker
from labcli.text.terminal import text_width
from tests.cli.talking import speaking
from tui.answering.sampling import TalkSettings
from tui.shell.glyphs import ASCII

SETTINGS = TalkSettings(temperature=0.0, max_new_tokens=60)


def answered(*texts: str, prompts: Sequence[str] = ("ask",)) -> list[Column]:
    """Return columns that have been answered by models that say `texts`."""
    speakers = [Speaker(engine=speaking(text)[0], name=text[:9], stage="sft") for text in texts]
    combinations = combine(prompts, len(texts), [0.0], 1, SETTINGS)
    found = [Column(item, speakers[item.model].name) for item in combinations]
    race = Race(speakers, found, clock=itertools.count().__next__)
    while not race.is_done:
        race.step()
    return found


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("num", [1, 2, 3, 7])
def test_no_row_is_wider_than_the_terminal(width: int, num: int) -> None:
    columns = answered(*["some words to wrap, \u4f60\u597d and averyveryverylongoneatthat"] * num)
    layout = Layout(width, ASCII, is_styled=False)

    firsts = firsts_of(columns)
    lines = [line for band in layout.bands(columns) for line in layout.band(band, firsts)]

    assert max(map(text_width, lines)) < width


def test_a_prompt_of_wide_characters_stays_on_its_row() -> None:
    line = Layout(30, ASCII, is_styled=False).prompt_line("\u4f60\u597d" * 20)

    assert text_width(line) <= 29
    assert line.endswith("~")


@pytest.mark.parametrize(
    ("width", "sizes"), [(30, [1] * 7), (60, [2, 2, 2, 1]), (90, [3, 3, 1]), (300, [7])]
)
def test_columns_that_do_not_fit_go_into_further_bands(width: int, sizes: list[int]) -> None:
    layout = Layout(width, ASCII, is_styled=False)

    assert [len(band) for band in layout.bands(answered(*["a"] * 7))] == sizes


def test_bands_never_mix_prompts() -> None:
    columns = answered("a", "b", prompts=("one", "two"))

    bands = Layout(200, ASCII, is_styled=False).bands(columns)

    assert [[column.combination.label for column in band] for band in bands] == [["A", "B"]] * 2


@pytest.mark.parametrize(
    ("first", "own", "at"),
    [("abc", "abc", None), ("abc", "abd", 2), ("abc", "ab", 2), ("", "a", 0), ("a", "b", 0)],
)
def test_the_first_difference_is_that_of_the_texts(first: str, own: str, at: int | None) -> None:
    assert difference(*answered(first, own)) == at


def test_a_column_that_is_still_growing_departs_only_at_a_different_character() -> None:
    columns = answered("abc", "ab")
    columns[1].finish = None

    assert difference(*columns) is None


def test_the_departure_is_marked_in_the_text_and_named_below() -> None:
    columns = answered("The answer is 5.", "The answer is 6.", "The answer is 5.")
    layout = Layout(100, ASCII, is_styled=False)

    text = "\n".join(layout.band(columns, firsts_of(columns)))

    assert "The answer is >6." in text
    assert "departs from A at 14" in text
    assert "same as A" in text


def test_model_text_cannot_steer_the_terminal() -> None:
    columns = answered("a\x1b[2Jb", "c")
    styled = Layout(100, ASCII, is_styled=True)

    text = "\n".join(styled.band(columns, firsts_of(columns)))

    assert "a\ufffd[2Jb" in text


def test_styles_do_not_shift_columns() -> None:
    columns = answered("one two three", "one too three")
    lines = [
        Layout(70, ASCII, is_styled=is_styled).band(columns, firsts_of(columns))
        for is_styled in (False, True)
    ]

    assert any("\x1b" in line for line in lines[1])
    assert [re.sub(r"\x1b\[[\d;]*m", "", line).rstrip() for line in lines[1]] == lines[0]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (30, 10), (20, 4)])
def test_a_frame_never_has_more_rows_than_the_terminal(width: int, height: int) -> None:
    columns = answered(*["word " * 12] * 9, prompts=("one", "two"))

    lines = frame(columns, Layout(width, ASCII, is_styled=False), height)

    assert len(lines) <= height
    assert "18 of 18 done" in lines[-1] or width < 20
    assert max(map(text_width, lines)) < width


def test_a_frame_shows_the_columns_that_are_at_work() -> None:
    columns = answered(*["word"] * 8)
    columns[7].finish = None

    lines = frame(columns, Layout(60, ASCII, is_styled=False), 12)

    assert "H  word" in "\n".join(lines)
    assert lines[-1].startswith("7 of 8 done, 2 shown")


def test_figures_are_of_the_models_own_steps() -> None:
    (column,) = answered("abcd")

    # The clock moves on by one at each look, so every step takes one second.
    assert (column.num_tokens, column.ttft_s, column.tok_per_sec) == (5, 1, 1.0)
    assert column.entropy_bits is not None


def test_a_second_model_does_not_make_the_first_look_slower() -> None:
    assert answered("abcd")[0].tok_per_sec == answered("abcd", "a longer one")[0].tok_per_sec


def test_labels_go_on_after_z() -> None:
    labels = [item.label for item in combine(["ask"], 1, [0.0], 28, SETTINGS)]

    assert labels[25:] == ["Z", "AA", "AB"]


def test_a_block_names_everything_that_made_the_answer() -> None:
    (column,) = answered("fine")

    lines = block(column, column).splitlines()

    assert lines[0] == "A  fine  temperature 0  seed 0  at most 60 tokens"
    assert lines[1:] == ["prompt: ask", lines[2], "", "fine"]
    assert lines[2].startswith("5 tokens  ")
    assert lines[2].endswith("complete")

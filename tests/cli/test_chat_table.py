"""Tables in an answer stand in aligned columns, however they arrive and whatever the screen."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.chat_format import Part
from labcli.chat.markdown_screen import MarkdownScreen
from tests.cli.talking import Glass
from tui.shell.glyphs import ASCII

TABLE = """Prices:
| Fruit | Price | Colour |
|:------|------:|:------:|
| apple | 1.50 | red |
| **kiwi** | 12 | a|b |
| \u68a8 | 3 |
after"""
LINES = (
    "| a | b |", "|---|--:|", "|:-:|---|", "text", "", "|", "|-", "  ", "| `c` | long words wrap |",
    "---", "```", "| x \\| y | z | too much |", "- item",
)  # fmt: skip


def stream(answer: str, size: int, glass: Glass) -> str:
    """Return what a terminal shows after an answer that comes in pieces of `size` characters."""
    screen = MarkdownScreen(glass.write, glass.size, ASCII)
    for start in range(0, len(answer), size):
        screen.show(Part(type="text", text=answer[start : start + size]))
    screen.end()
    return glass.text


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_columns_are_aligned_as_the_dashes_say(size: int) -> None:
    assert stream(TABLE, size, Glass(40, 24)).splitlines() == [
        "Prices:",
        "Fruit | Price | Colour",
        "----------------------",
        "apple |  1.50 |  red",
        "kiwi  |    12 | a | b",
        "\u68a8    |     3 |",
        "after",
    ]


def test_cells_wrap_so_that_a_table_fits_the_width() -> None:
    answer = "| Name | What it does |\n|---|---|\n| attention | mixes what the tokens have said |"

    assert stream(answer, 4, Glass(28, 24)).splitlines() == [
        "Name      | What it does",
        "---------------------------",
        "attention | mixes what the",
        "          | tokens have",
        "          | said",
    ]


def test_a_table_without_room_for_its_columns_stays_as_it_was_written() -> None:
    answer = "| a | b | c |\n|---|---|---|\n| 1 | 2 | 3 |"

    assert stream(answer, 2, Glass(14, 24)).splitlines() == answer.splitlines()


def test_dashes_for_another_number_of_columns_make_no_table() -> None:
    assert stream("| a | b |\n|---|\n", 1, Glass(40, 24)).splitlines() == ["| a | b |", "|---|"]


@pytest.mark.parametrize("size", [1, 1000])
def test_a_table_higher_than_the_screen_keeps_its_first_rows(size: int) -> None:
    rows = "".join(f"| {number} | word |\n" for number in range(20))

    shown = stream(f"| n | w |\n|--:|---|\n{rows}end", size, Glass(40, 6)).splitlines()

    assert [line.split()[0] for line in shown] == [
        "n", "----------", *[str(number) for number in range(20)], "end",
    ]  # fmt: skip


@given(st.lists(st.sampled_from(LINES), max_size=9).map("\n".join), st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_lines_that_may_be_tables_look_streamed_as_they_do_at_once(answer: str, size: int) -> None:
    assert stream(answer, size, Glass(20, 60)) == stream(answer, 1000, Glass(20, 60))


@given(st.lists(st.sampled_from(LINES), max_size=9).map("\n".join), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_a_table_on_a_low_screen_never_moves_the_cursor_above_it(answer: str, size: int) -> None:
    stream(answer, size, Glass(12, 4))


def test_a_table_goes_on_below_after_the_terminal_became_narrower() -> None:
    glass = Glass(60, 24)
    screen = MarkdownScreen(glass.write, glass.size, ASCII)
    screen.show(Part(type="text", text="| name | text |\n|---|---|\n| a | some words of text |\n"))
    glass.columns = 20

    screen.show(Part(type="text", text="| b | other words of text |\n"))
    screen.end()

    assert glass.text.splitlines()[-2:] == ["b    | other words", "     | of text"]

"""What a terminal shows while an answer streams, and what it shows in the end."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.chat_format import Part
from labcli.chat.markdown import Line, rows_of
from labcli.chat.markdown_screen import MarkdownScreen, redraw
from labcli.chat.screen import NoScreen, PlainScreen, pick_screen
from labcli.text.terminal import printable
from tests.cli.talking import Glass
from tui.shell.glyphs import ASCII, UNICODE

ANSWER = """# Title

Some **bold words that go over the end of a row** and `code`, but 2 * 3 * 4 and snake_case_name.

- first item that is long enough to go over the end of a narrow row
- second *item*
1. numbered

> quoted

```python
x = "**not bold**"
```

| a | b |
---
end"""


def text(value: str) -> Part:
    return Part(type="text", text=value)


def shown(pieces: Sequence[Part], columns: int = 40, lines: int = 24) -> str:
    """Return what a terminal shows after the pieces of an answer."""
    glass = Glass(columns, lines)
    screen = MarkdownScreen(glass.write, glass.size, ASCII)
    for piece in pieces:
        screen.show(piece)
    screen.end()
    return glass.text


def plain_rows(value: str, columns: int = 40) -> list[str]:
    """Return the rows of a line without their styles."""
    rows = rows_of(Line().with_text(value, is_tool=False), columns, ASCII)
    return [re.sub(r"\x1b\[[\d;]*m", "", row.text) for row in rows]


@pytest.mark.parametrize("columns", [20, 40, 80])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_an_answer_looks_the_same_however_its_pieces_are_cut(columns: int, size: int) -> None:
    pieces = [text(ANSWER[start : start + size]) for start in range(0, len(ANSWER), size)]

    assert shown(pieces, columns) == shown([text(ANSWER)], columns)


@given(st.text(alphabet="ab *_`#->\\|1.\n", max_size=120), st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_any_markers_streamed_look_as_they_do_at_once(answer: str, size: int) -> None:
    pieces = [text(answer[start : start + size]) for start in range(0, len(answer), size)]

    assert shown(pieces, 20, lines=60) == shown([text(answer)], 20, lines=60)


@given(st.text(alphabet="abc de*f`g", min_size=1, max_size=400))
@settings(max_examples=100, deadline=None)
def test_a_low_screen_never_moves_the_cursor_above_it(answer: str) -> None:
    shown([text(char) for char in answer], 12, lines=4)


def test_words_are_not_broken_and_markers_are_not_shown() -> None:
    assert plain_rows("Some **bold words that wrap** at forty columns") == [
        "Some bold words that wrap at forty", "columns",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("## Title", "Title"),
        ("- item", "o item"),
        ("  * nested", "  o nested"),
        ("12. item", "12. item"),
        ("> said", "| said"),
        ("***", "-" * 24),
        ("**bold** and __too__", "bold and too"),
        ("***both***", "both"),
        ("`a*b*c`", "a*b*c"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("snake_case_name", "snake_case_name"),
        (r"\*kept\*", "*kept*"),
        ("**open", "**open"),
        ("a ` b", "a ` b"),
        ("", ""),
        ("#hashtag", "#hashtag"),
    ],
)
def test_a_line_of_markdown_is_shown_as(line: str, row: str) -> None:
    assert plain_rows(line) == [row]


def test_wide_characters_fill_rows_by_their_cells() -> None:
    rows = plain_rows("\u4f60\u597d\u4e16\u754c\u4f60\u597d", 9)

    assert rows == ["\u4f60\u597d\u4e16\u754c", "\u4f60\u597d"]


def test_finished_lines_are_never_written_again() -> None:
    sent: list[str] = []
    screen = MarkdownScreen(sent.append, Glass(40, 24).size, ASCII)

    for char in "first line\nsecond line":
        screen.show(text(char))

    assert "".join(sent) == "first line\nsecond line"


def test_a_resize_in_the_middle_of_a_line_repeats_nothing() -> None:
    glass = Glass(40, 24)
    screen = MarkdownScreen(glass.write, glass.size, ASCII)

    screen.show(text("one two **three** four five six seven eight"))
    glass.columns = 60
    screen.show(text(" nine ten\nnext"))
    screen.end()

    assert glass.text.split() == ("one two three four five six seven eight nine ten next".split())


def test_a_tool_call_stands_in_the_text_with_its_result() -> None:
    pieces = [
        text("So "),
        Part(type="python", text="2*3"),
        Part(type="python_output", text="6"),
        text("it is "),
        Part(type="python", text="1/0"),
        text("unknown"),
    ]

    assert shown(pieces) == "So [2*3 = 6] it is [1/0] unknown\n"


def test_an_answer_cannot_steer_the_terminal() -> None:
    assert shown([text("a\x1b[2Jb\x07\u202ec\r\n")]) == "a\ufffd[2Jb\ufffd\ufffdc\n"


def test_an_answer_that_ends_with_a_line_break_gets_no_second_one() -> None:
    assert shown([text("done\n")]) == "done\n"
    assert shown([]) == ""


def test_rows_that_grow_are_appended_to_and_not_rewritten() -> None:
    assert redraw(["abc"], ["abcd"]) == "d"
    assert redraw(["abc"], ["abc", "d"]) == "\nd"
    assert redraw(["a", "**b"], ["a", "b"]) == "\rb\x1b[K"


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_styles_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert isinstance(pick_screen(is_json=False), MarkdownScreen)
    assert isinstance(pick_screen(is_json=True), NoScreen)
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert isinstance(pick_screen(is_json=False), PlainScreen)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert isinstance(pick_screen(is_json=False), PlainScreen)


def test_a_plain_terminal_gets_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("NO_COLOR", "1")
    screen = PlainScreen()

    for piece in (
        text("a\x1b[2Jb\n"),
        Part(type="python", text="1+1\x07"),
        Part(type="python_output", text="2"),
    ):
        screen.show(piece)

    assert out.getvalue() == "a\ufffd[2Jb\n"
    assert err.getvalue() == "[1+1\ufffd = 2] "


def test_every_answer_may_be_drawn_with_unicode_glyphs() -> None:
    assert rows_of(Line().with_text("- x", is_tool=False), 40, UNICODE)[0].text == "\u2022 x"
    assert printable("\u2022") == "\u2022"

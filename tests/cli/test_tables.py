"""Numbers, times and sizes in words."""

from __future__ import annotations

import pytest

from labcli.shown.runs import validation_marks
from labcli.text.figures import percent, seconds, size
from labcli.text.tables import render
from tui.analysis.words import short_count


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (-1.0, "0.0s"), (4.24, "4.2s"), (9.96, "10s"), (59.4, "59s"), (59.6, "1m00s"),
        (192.0, "3m12s"), (7500.0, "2h05m"), (100_800.0, "1d04h"),
    ],
)  # fmt: skip
def test_durations(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (950.0, "950"), (1200.0, "1.20k"), (23_800.0, "23.8k"),
        (11_534_336.0, "11.5M"), (1.38e9, "1.38B"), (4.2e12, "4.20T"),
    ],
)  # fmt: skip
def test_counts(value: float | None, text: str) -> None:
    assert short_count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (512, "512 B"), (1536, "1.5 KiB"), (12 << 30, "12 GiB")]
)
def test_sizes(value: int | None, text: str) -> None:
    assert size(value) == text


def test_shares() -> None:
    assert (percent(0.415), percent(None)) == ("41.5%", "-")


def test_table_aligns_and_leaves_no_trailing_space() -> None:
    table = render(("A", "NUMBER"), [["long name", "1"], ["b", "22"]], right="lr")
    assert table.splitlines() == ["A          NUMBER", "long name       1", "b              22"]


def test_first_validation_text_is_the_unmarked_one() -> None:
    assert validation_marks([None, "b", "a", "b"]) == ["", "", "*", ""]


def test_a_table_breaks_its_last_column_where_the_terminal_is_too_narrow_for_it() -> None:
    rows = [["base@7", "warning", "the loss jumped to nine times of what it was before"]]
    table = render(("WHERE", "SEVERITY", "WHAT"), rows, width=46)
    assert table.splitlines() == [
        "WHERE   SEVERITY  WHAT",
        "base@7  warning   the loss jumped to nine",
        "                  times of what it was before",
    ]
    assert len(render(("WHERE", "SEVERITY", "WHAT"), rows).splitlines()) == 2


def test_a_table_breaks_names_too_and_drops_what_holds_nothing_but_never_a_word() -> None:
    header = ("RUN", "STEPS", "CREATED", "TAGS")
    rows = [["base-quiet-tapir (a-name)", "150", "2025-11-21 01:53", ""]]
    assert render(header, rows, right="lr", width=45).splitlines() == [
        "RUN                   STEPS  CREATED",
        "base-quiet-tapir        150  2025-11-21 01:53",
        "(a-name)",
    ]
    assert render(header, rows, right="lr", width=20) == render(
        header[:3], [rows[0][:3]], right="lr"
    )
    assert render(header, [], width=10) == "RUN  STEPS  CREATED  TAGS"


def test_no_line_of_a_table_is_wider_than_a_terminal_that_its_words_fit() -> None:
    rows = [[f"run-{'x' * num} (the {num}th)", str(10**num), "two words"] for num in range(8)]
    for width in range(40, 60):
        table = render(("RUN", "STEPS", "WHAT"), rows, right="lr", width=width)
        assert max(map(len, table.splitlines())) <= width

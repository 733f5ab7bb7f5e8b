"""Entropy as cells: buckets, heights, colours, and what they look like in a terminal."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.experiments.report.strips import (
    buckets,
    entropies_bits,
    height_of,
    level_of,
    token_scale_bits,
)
from core.experiments.selfchat.transcript import Experiment
from labcli.selfchat.look import Look
from tests.selfchat_views.builders import make_trace
from tui.shell.glyphs import ASCII, UNICODE, Glyphs

BITS = st.floats(min_value=0, max_value=20, allow_nan=False)


@settings(max_examples=40)
@given(st.lists(st.one_of(st.none(), BITS), max_size=300), st.integers(1, 80))
def test_buckets_hold_every_value_once_and_in_order(
    values: list[float | None], max_cells: int
) -> None:
    cells = buckets(values, max_cells)
    assert len(cells) == min(len(values), max_cells)
    assert [at for cell in cells for at in range(cell.start, cell.stop)] == list(range(len(values)))


@settings(max_examples=40)
@given(st.lists(BITS, min_size=1, max_size=300), st.integers(1, 80))
def test_the_mean_of_all_values_can_be_had_from_their_cells(
    values: list[float], max_cells: int
) -> None:
    sizes = [(cell.stop - cell.start, cell.mean or 0.0) for cell in buckets(values, max_cells)]
    assert math.isclose(sum(n * mean for n, mean in sizes), math.fsum(values), abs_tol=1e-6)


@given(BITS, BITS, st.floats(0.5, 15), st.integers(2, 8))
def test_a_higher_entropy_is_never_drawn_lower(a: float, b: float, top: float, num: int) -> None:
    low, high = sorted((a, b))
    assert 0 <= height_of(low, top, num) <= height_of(high, top, num) < num
    assert level_of(low) <= level_of(high)


def test_heights_use_the_whole_range() -> None:
    assert [height_of(at, 4.0, 8) for at in (0.0, 0.5, 2.0, 3.99, 4.0, 99.0)] == [0, 1, 4, 7, 7, 7]


def test_colours_begin_at_whole_bits() -> None:
    assert [level_of(at) for at in (0.0, 0.99, 1.0, 2.5, 3.0, 4.0, 12.0)] == [0, 0, 1, 2, 3, 4, 4]


def test_a_token_that_a_tool_wrote_has_no_entropy() -> None:
    assert entropies_bits(make_trace([1.0, 2.0, 3.0], forced=[1])) == pytest.approx(
        (1.0, None, 3.0)
    )


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_a_strip_has_a_character_per_cell_whose_height_follows_entropy(glyphs: Glyphs) -> None:
    look = Look(width=80, glyphs=glyphs, is_styled=False)
    values = [0.0, 0.6, 1.1, 1.6, 2.1, 2.6, 3.1, 3.6, None]
    assert look.strip(values, 80, 4.0) == glyphs.ramp + " "
    assert len(look.strip(values * 50, 30, 4.0)) == 30


def test_colours_only_add_to_a_strip() -> None:
    values = [0.2, 1.2, 2.2, 3.2, 4.2, None]
    coloured = Look(width=80, glyphs=UNICODE, is_styled=True).strip(values, 80, 5.0)
    without = Look(width=80, glyphs=UNICODE, is_styled=False).strip(values, 80, 5.0)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == without
    assert len(set(re.findall(r"38;5;\d+", coloured))) == 5


def test_ascii_strips_are_ascii() -> None:
    look = Look(width=80, glyphs=ASCII, is_styled=False)
    assert look.strip([at / 10 for at in range(60)], 40, 5.0).isascii()


def test_nearly_all_tokens_are_below_the_top_of_the_scale(experiment: Experiment) -> None:
    top = token_scale_bits(experiment)
    known = [
        bits
        for one in experiment.conversations
        for turn in one.turns
        for bits in entropies_bits(turn.tokens)
        if bits is not None
    ]
    assert top == int(top)
    assert sum(bits <= top for bits in known) / len(known) >= 0.98


def test_an_experiment_without_turns_has_a_scale() -> None:
    assert token_scale_bits(Experiment(settings=(), conversations=())) == 1.0

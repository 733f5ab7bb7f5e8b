"""What a sweep varies: grids, draws and lists."""

from __future__ import annotations

import pytest

from labcli.sweep.axes import Axes, expand, parse_grid, parse_list, parse_range
from runs.errors import UsageError


def test_grid_is_the_product_of_its_values_in_their_order() -> None:
    axes = Axes(grid=parse_grid(["base.depth=4,6", "base.matrix_lr=0.01,0.02"]))
    assert [tuple(changed.values()) for changed in expand(axes)] == [
        ("4", "0.01"), ("4", "0.02"), ("6", "0.01"), ("6", "0.02"),
    ]  # fmt: skip


def test_draws_stay_in_their_range_and_repeat_with_the_same_seed() -> None:
    ranges = (parse_range("base.matrix_lr=log:0.001..0.1"), parse_range("base.depth=2..4"))
    axes = Axes(grid={}, ranges=ranges, num_draws=50, draw_seed=3)
    drawn = expand(axes)
    assert drawn == expand(axes) != expand(Axes(grid={}, ranges=ranges, num_draws=50, draw_seed=4))
    rates = [float(changed["base.matrix_lr"]) for changed in drawn]
    assert all(0.001 <= rate <= 0.1 for rate in rates)
    # Evenly over the orders of magnitude: about half of them below a hundredth.
    assert 15 <= sum(rate < 0.01 for rate in rates) <= 35
    assert {changed["base.depth"] for changed in drawn} == {"2", "3", "4"}


def test_choices_are_drawn_from_the_words_given() -> None:
    axes = Axes(grid={}, ranges=(parse_range("base.arch=current|classic"),), num_draws=20)
    assert {changed["base.arch"] for changed in expand(axes)} == {"current", "classic"}


def test_list_gives_one_variant_per_row_and_an_empty_cell_leaves_the_setting_alone() -> None:
    rows = parse_list("base.depth, base.matrix_lr\n2,0.1\n4,\n", source="x.csv")
    assert expand(Axes(grid={}, rows=rows)) == [
        {"base.depth": "2", "base.matrix_lr": "0.1"},
        {"base.depth": "4"},
    ]


def test_seeds_repeat_every_variant() -> None:
    variants = expand(Axes(grid=parse_grid(["base.depth=2,4"]), num_seeds=3))
    assert [changed["seed"] for changed in variants] == ["42", "43", "44"] * 2


def test_equal_variants_appear_once() -> None:
    rows = parse_list("base.depth\n2\n2\n", source="x.csv")
    assert len(expand(Axes(grid={}, rows=rows))) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["base.depth"], "takes a setting and its values"),
        (["base.depth=4,"], "a value is empty"),
        (["base.depth=4", "base.depth=6"], "names base.depth twice"),
    ],
)
def test_wrong_grid_is_refused_with_what_is_wrong(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_grid(words)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("lr=log:0..1", "above 0"),
        ("lr=3..1", "not below"),
        ("lr=exp:1..2", "write lr=log:"),
        ("lr=int:0.5..2", "whole numbers"),
        ("lr=1..inf", "not below"),
        ("lr=", "takes a setting"),
    ],
)
def test_wrong_range_is_refused_with_what_is_wrong(word: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_range(word)


def test_setting_that_two_options_vary_is_refused() -> None:
    axes = Axes(
        grid=parse_grid(["base.depth=2"]), ranges=(parse_range("base.depth=2..4"),), num_draws=2
    )
    with pytest.raises(UsageError, match=r"base\.depth is given twice"):
        expand(axes)


def test_sweep_of_too_many_runs_is_refused_before_they_are_listed() -> None:
    with pytest.raises(UsageError, match="at most 10000"):
        expand(Axes(grid={f"base.k{n}": tuple("0123456789") for n in range(12)}, num_seeds=5))

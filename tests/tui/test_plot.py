"""The rasteriser: nothing that was logged may disappear between the data and the dots."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tui.charts.axes import linear_ticks, log_ticks
from tui.charts.envelope import BoolArray, dot_column, envelope
from tui.charts.plot import (
    DOTS_X,
    DOTS_Y,
    Canvas,
    Layer,
    Role,
    Window,
    dot_row,
    dots,
    draw,
    envelopes,
    span_of,
    window_of,
    window_over,
)
from tui.charts.series import FloatArray
from tui.shell.glyphs import ASCII, UNICODE

values = st.lists(
    st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=1, max_size=300
)
finite = st.lists(
    st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1, max_size=300
)
columns = st.integers(1, 60)
rows = st.integers(1, 20)


def layer(y: list[float], role: Role = Role.RAW) -> Layer:
    """Return one curve over the steps 0, 1, 2, ..."""
    return Layer(x=np.arange(len(y), dtype=np.float64), y=np.array(y), role=role)


def window(curve: Layer) -> Window:
    """Return the window of a curve that has a finite point."""
    found = window_of([curve])
    assert found is not None
    return found


def dots_of(curve: Layer, *, width: int, height: int) -> BoolArray:
    """Return the dots of a curve over its whole span."""
    found = envelope(curve.points, span=window(curve).span, width=width)
    return dots(found, window=window(curve), height=height)


@given(finite, columns)
def test_the_smallest_and_the_largest_value_of_a_column_are_never_lost(
    y: list[float], width: int
) -> None:
    curve = layer(y)
    found = envelope(curve.points, span=window(curve).span, width=width)
    low, high = found.low, found.high
    at = dot_column(curve.x, span=window(curve).span, width=width)
    for column in range(width):
        inside: FloatArray = curve.y[at == column]
        if len(inside):
            assert (low[column], high[column]) == (inside.min(), inside.max())
        else:
            assert math.isnan(low[column])


@given(finite, columns, rows)
def test_every_point_has_its_dot(y: list[float], width: int, height: int) -> None:
    curve = layer(y)
    shown = dots_of(curve, width=width, height=height)
    at_row = dot_row(curve.y, window=window(curve), height=height)
    at_column = dot_column(curve.x, span=window(curve).span, width=width)
    assert shown[at_row, at_column].all()


@given(st.integers(10, 5000), st.data())
def test_a_spike_of_one_step_is_visible(num_steps: int, data: st.DataObject) -> None:
    spike = data.draw(st.integers(0, num_steps - 1))
    y = [1.0] * num_steps
    y[spike] = 9.0
    curve = layer(y)
    shown = dots_of(curve, width=40, height=20)
    assert shown[0].any()


@given(values, columns, rows, st.booleans(), st.booleans())
def test_drawing_never_fails_and_fills_the_canvas(
    y: list[float], num_columns: int, num_rows: int, is_ascii: bool, is_log: bool
) -> None:
    curve = layer(y)
    span = span_of([curve])
    assert span is not None
    reduced = envelopes([curve], span, columns=num_columns, is_log=is_log)
    found = window_over([curve], reduced, span)
    if found is None:
        return
    glyphs = ASCII if is_ascii else UNICODE
    canvas = draw([curve], found, columns=num_columns, rows=num_rows, glyphs=glyphs, found=reduced)
    assert canvas.characters.shape == canvas.roles.shape == (num_rows, num_columns)
    if is_ascii:
        assert "".join(canvas.characters.ravel()).isascii()
    linear_ticks(found.y_min, found.y_max, 4)
    log_ticks(found.y_min, found.y_max, 4)


def test_a_value_that_is_not_a_number_is_marked_and_leaves_a_gap() -> None:
    curve = layer([1.0, 1.0, math.nan, 1.0, 2.0])
    canvas = draw([curve], window(curve), columns=40, rows=4, glyphs=UNICODE)
    marked = np.argwhere(canvas.roles == int(Role.NOT_A_NUMBER))
    assert [tuple(place) for place in marked] == [(3, 20)]
    shown = dots_of(curve, width=80, height=16)
    assert not shown[:, 21:59].any()


def test_two_points_are_joined_by_a_line() -> None:
    curve = layer([0.0, 10.0])
    shown = dots_of(curve, width=40, height=12)
    assert shown.any(axis=0).all()
    assert shown.any(axis=1).all()


def test_a_later_role_is_drawn_over_an_earlier_one() -> None:
    flat = [1.0, 1.0, 1.0]
    canvas = draw(
        [layer(flat, Role.LINE), layer(flat, Role.GHOST)],
        window(layer(flat)), columns=10, rows=3, glyphs=UNICODE,
    )  # fmt: skip
    assert set(canvas.roles.ravel()) == {int(Role.EMPTY), int(Role.LINE)}


def test_points_are_marked_only_where_there_is_room() -> None:
    def marks(num_points: int) -> int:
        x = np.arange(num_points, dtype=np.float64)
        curve = Layer(x=x, y=x, role=Role.LINE, has_points=True)
        canvas: Canvas = draw([curve], window(curve), columns=30, rows=6, glyphs=UNICODE)
        return int((canvas.roles == int(Role.POINT)).sum())

    assert (marks(5), marks(200)) == (5, 0)


def test_a_dot_is_in_the_cell_that_covers_it() -> None:
    curve = layer([0.0, 1.0])
    canvas = draw([curve], window(curve), columns=10, rows=5, glyphs=UNICODE)
    shown = dots_of(curve, width=10 * DOTS_X, height=5 * DOTS_Y)
    lit = shown.reshape(5, DOTS_Y, 10, DOTS_X).any(axis=(1, 3))
    assert ((canvas.roles == int(Role.RAW)) == lit).all()


def test_ticks_are_round_and_inside_the_range() -> None:
    ticks = linear_ticks(2.013, 9.31, 4)
    assert [tick.label for tick in ticks] == ["4", "6", "8"]
    assert [tick.label for tick in linear_ticks(0.28, 0.43, 3, is_percent=True)] == [
        "30%", "35%", "40%",
    ]  # fmt: skip
    assert [tick.label for tick in linear_ticks(16_300, 25_200, 3)] == ["20k", "25k"]


@given(st.floats(-1e12, 1e12), st.floats(1e-6, 1e12), st.integers(1, 12))
def test_ticks_never_leave_the_axis_and_never_repeat(low: float, span: float, wanted: int) -> None:
    ticks = linear_ticks(low, low + span, wanted)
    shares = [tick.share for tick in ticks]
    assert shares == sorted(set(shares))
    assert all(0.0 <= share <= 1.0 for share in shares)

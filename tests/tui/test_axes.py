"""Zooming, other x axes, values under the crosshair, and samples step beside step: all pure."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.charts.data import ChartData, LegendEntry, index_at, run_letter, snapped, value_at
from tui.charts.envelope import Points, Span, envelope
from tui.charts.plot import Layer, Role, series_layer
from tui.charts.series import Series
from tui.charts.sheet import ChartState, lay_out
from tui.charts.warp import warp_of
from tui.charts.zoom import Zoom, panned, showing, shown_span, zoomed
from tui.live.axes import Subject, axes_of, place_of, step_at
from tui.live.chart_set import ChartSet, chart_specs
from tui.live.host import host_values
from tui.live.samples import sample_lines, step_before
from tui.live.state import CLOCK, SampleText, StageCurves
from tui.shell.glyphs import ASCII, UNICODE

FULL = Span(start=0.0, end=1000.0)
shares = st.floats(0.0, 1.0)


def curve(y: list[float], **how: object) -> Layer:
    """Return a layer over the steps 0, 1, 2, ..."""
    series = Series().extended(np.arange(len(y), dtype=np.float64), np.array(y))
    return series_layer(series, Role.LINE, **how)  # type: ignore[arg-type]


def text_of(data: ChartData, state: ChartState, *, width: int = 60, height: int = 12) -> list[str]:
    """Return the lines of a chart."""
    sheet = lay_out(data, state, width=width, height=height, glyphs=ASCII)
    return ["".join(text for text, _ in line) for line in sheet.lines]


@given(shares, st.floats(1.1, 8.0))
def test_zooming_keeps_the_place_under_the_pointer_where_it_is(share: float, factor: float) -> None:
    around = FULL.start + share * FULL.length
    zoom = zoomed(None, FULL, factor=factor, around=around)
    assert zoom is not None
    span = shown_span(zoom, FULL)
    assert FULL.start <= span.start < span.end <= FULL.end
    assert (around - span.start) / span.length == pytest.approx(share, abs=1e-6)


def test_a_zoom_that_ends_at_the_newest_point_follows_it() -> None:
    zoom = zoomed(None, FULL, factor=4.0, around=None)
    assert zoom == Zoom(length=250.0)
    assert shown_span(zoom, Span(start=0.0, end=1200.0)) == Span(start=950.0, end=1200.0)
    held = panned(zoom, FULL, share=-1.0)
    assert held is not None
    assert shown_span(held, Span(start=0.0, end=1200.0)) == Span(start=500.0, end=750.0)
    assert zoomed(held, FULL, factor=0.1, around=None) is None
    assert showing(held, FULL, 100.0) == Zoom(length=250.0, end=350.0)


@given(st.lists(st.floats(0.0, 50.0), min_size=2, max_size=200), st.floats(0.01, 100.0))
def test_a_place_that_goes_to_another_axis_and_back_is_the_same(
    tokens: list[float], scale: float
) -> None:
    shown = np.cumsum(np.array(tokens) + 0.5)
    steps = np.arange(1.0, len(tokens) + 1)
    warp = warp_of(steps, shown, scale=scale)
    assert warp is not None
    beyond = np.array([-3.0, *steps, len(tokens) + 9.5])
    np.testing.assert_allclose(warp.backward(warp.forward(beyond)), beyond, rtol=1e-6, atol=1e-6)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=300, max_size=4000),
    st.integers(2, 8),
)
@settings(deadline=None, max_examples=40)
def test_reading_a_long_curve_by_its_blocks_loses_no_extreme(y: list[float], width: int) -> None:
    series = Series().extended(np.arange(len(y), dtype=np.float64), np.array(y))
    points = Points(x=series.x, y=series.y, blocks=series.blocks, is_sorted=True)
    found = envelope(points, span=Span(start=0.0, end=len(y) - 1.0), width=width)
    assert (np.nanmin(found.low), np.nanmax(found.high)) == (min(y), max(y))


def test_a_zoomed_line_goes_on_to_points_that_are_not_shown() -> None:
    layer = curve([0.0, 100.0])
    found = envelope(layer.points, span=Span(start=0.25, end=0.75), width=10)
    assert (found.low[0], found.high[-1]) == (25.0, 75.0)


def test_points_out_of_order_are_drawn_where_they_are() -> None:
    layer = Layer(x=np.array([5.0, 1.0, 3.0]), y=np.array([50.0, 10.0, 30.0]), role=Role.LINE)
    found = envelope(layer.points, span=Span(start=1.0, end=5.0), width=3)
    assert found.low.tolist() == [10.0, 30.0, 50.0]
    assert value_at(layer, 3.5) == 30.0


def test_the_crosshair_reads_the_last_value_at_or_before_it_and_snaps_to_points() -> None:
    layer = curve([1.0, 2.0, math.nan, 4.0])
    assert [index_at(layer, place) for place in (-1.0, 0.0, 1.9, 3.0, 99.0)] == [None, 0, 1, 3, 3]
    assert value_at(layer, 1.5) == 2.0
    assert (snapped(layer, 1.4), snapped(layer, 1.6), snapped(layer, 1.4, by=2)) == (1.0, 2.0, 3.0)
    lines = text_of(ChartData(title="loss", layers=(layer,)), ChartState(crosshair=2.0))
    assert lines[0].split() == ["loss", "NaN", "at", "2"]


def test_overlaid_runs_are_told_apart_without_colour() -> None:
    layers = tuple(
        curve([height] * 300, run=run, letter=run_letter(run))
        for run, height in enumerate((1.0, 2.0, 3.0))
    )
    legend = tuple(
        LegendEntry(run=run, letter=run_letter(run), name=name)
        for run, name in enumerate(("amber-fox", "hot-lr", "third"))
    )
    lines = text_of(ChartData(title="loss", layers=layers, legend=legend), ChartState())
    assert lines[1].split() == ["A", "amber-fox", "1.000", "B", "hot-lr", "2.000", "C", "third",
                                "3.000"]  # fmt: skip
    rows = {letter: [n for n, line in enumerate(lines[2:-1]) if letter in line] for letter in "ABC"}
    assert [len(found) for found in rows.values()] == [1, 1, 1]
    assert rows["C"] < rows["B"] < rows["A"]


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=300),
    st.integers(20, 90),
    st.integers(0, 90),
)
def test_a_guess_at_the_room_for_labels_changes_no_chart(
    y: list[float], width: int, likely: int
) -> None:
    data = ChartData(title="loss", layers=(curve(y),))
    sheet, guessed = (
        lay_out(data, ChartState(), width=width, height=10, glyphs=ASCII, likely_columns=columns)
        for columns in (0, likely)
    )
    assert guessed == sheet


def test_a_log_axis_marks_what_has_no_logarithm() -> None:
    lines = text_of(
        ChartData(title="x", layers=(curve([-1.0, 1.0, 10.0, 100.0]),)), ChartState(is_log=True)
    )
    assert "log" in lines[0]
    assert lines[-2].count("x") == 1


def subject(num_steps: int, *, usd_per_hour: float | None = None) -> Subject:
    """Return a run whose every step took two seconds and ten tokens."""
    steps = np.arange(1.0, num_steps + 1)
    values = {"loss": steps * 0 + 3, "tokens": steps * 10, "train_s": steps * 2,
              CLOCK: 1000 + steps * 2}  # fmt: skip
    curves = {key: Series().extended(steps, y) for key, y in values.items()}
    cpu = Series().extended(np.arange(990.0, 1090.0, 5.0), np.linspace(0.0, 1.0, 20))
    return Subject(
        name="x",
        curves=StageCurves(curves=curves),
        host={"cpu": cpu},
        usd_per_hour=usd_per_hour,
        started_s=1000.0,
    )


def test_only_axes_that_were_measured_are_offered_and_dollars_need_a_price() -> None:
    assert axes_of([subject(20)]) == ("step", "tokens", "time")
    priced = subject(20, usd_per_hour=3.6)
    assert axes_of([priced]) == ("step", "tokens", "time", "usd")
    assert (place_of(priced, "tokens", 5.0), step_at(priced, "tokens", 50.0)) == (50.0, 5.0)
    assert place_of(priced, "usd", 10.0) == pytest.approx(0.02)


def test_charts_are_there_only_for_what_was_logged_and_line_up() -> None:
    one = subject(40)
    specs = [spec.key for spec in chart_specs([one], has_main=False)]
    assert specs == ["loss", "cpu"]
    assert [spec.key for spec in chart_specs([one], has_main=True)][:4] == [
        "loss", "val_bpb", "tok_per_sec", "mfu",
    ]  # fmt: skip
    charts = dict(ChartSet().charts([one], "step", has_main=False))
    cpu = charts["cpu"].layers[0]
    # Samples from before the first step and after the last one are of other stages.
    assert (cpu.x.min(), cpu.x.max()) == (1005.0, 1080.0)
    assert cpu.points.on_axis(np.array([1002.0, 1080.0])).tolist() == [1.0, 40.0]
    assert charts["cpu"].span == charts["loss"].span == Span(start=1.0, end=40.0)


def test_the_parts_of_a_step_have_charts_in_seconds_behind_the_main_ones() -> None:
    one = subject(4)
    logged = Series().extended(np.arange(1.0, 5.0), np.full(4, 0.25))
    parts = {f"time_{part}_s": logged for part in ("data", "forward_backward", "eval", "new")}
    one = replace(one, curves=StageCurves(curves={**one.curves.curves, **parts}))
    assert [spec.title for spec in chart_specs([one], has_main=False)] == [
        "loss", "CPU", "data, s", "forward-backward, s", "validation, s", "time_new_s",
    ]  # fmt: skip


def test_a_chart_that_did_not_change_is_the_same_object() -> None:
    one = subject(40)
    made = ChartSet()
    before = dict(made.charts([one], "step", has_main=False))
    again = dict(made.charts([one], "step", has_main=False))
    over = dict(made.charts([one], "tokens", has_main=False))
    assert before["loss"] is again["loss"]
    assert before["cpu"] is again["cpu"]
    assert over["loss"] is not before["loss"]


def test_the_load_of_several_gpus_becomes_one_curve_each() -> None:
    gpu = {"util_percent": 50, "memory_used_bytes": 10, "power_w": 100.0, "temperature_c": 60}
    sample = {
        "cpu_percent": 25.0,
        "memory_used_bytes": 7,
        "gpus": [gpu, {**gpu, "temperature_c": 70}],
    }
    assert host_values(sample) == {
        "cpu": 0.25, "ram": 7.0, "gpu_util": 0.5, "gpu_memory": 20.0, "gpu_power": 200.0,
        "gpu_temperature": 70.0,
    }  # fmt: skip
    assert host_values({"cpu_percent": "broken", "gpus": None}) == {}


def test_samples_stand_side_by_side_up_to_the_step_that_is_pointed_at() -> None:
    samples = tuple(
        SampleText(stage="base", step=step, prompt=prompt, text=f"{prompt} says {step:.0f}")
        for step in (100.0, 200.0, 300.0)
        for prompt in ("The cat", "A dog")
    )
    shown = sample_lines(samples, UNICODE, stage="base", step=250.0, width=80)
    assert shown[0].text.split() == ["step", "100", UNICODE.cursor, "step", "200"]
    assert [line.text.split() for line in shown[1:]] == [
        ["The", "cat", UNICODE.arrow], ["says", "100", "says", "200"],
        ["A", "dog", UNICODE.arrow], ["says", "100", "says", "200"],
    ]  # fmt: skip
    narrow = sample_lines(samples, UNICODE, stage="base", step=250.0, width=40)
    assert [line.text for line in narrow] == [
        "base step 200", f"The cat {UNICODE.arrow} says 200", f"A dog {UNICODE.arrow} says 200",
    ]  # fmt: skip
    assert len(sample_lines(samples, UNICODE, stage="base", step=None, width=40)) == 9
    assert (step_before((100.0, 200.0), 50.0), step_before((), 50.0)) == (100.0, None)

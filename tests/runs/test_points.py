"""Metrics from event logs to Parquet and back, and curves over any axis."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.analysis.directions import direction
from runs.events import Eval, EventLog, Start, Step
from runs.metrics.buckets import reduce_curve
from runs.metrics.compact import MIN_GROUP_ROWS, compact_stage
from runs.metrics.points import Points, read_points
from runs.metrics.series import Axis, OneCurve, read_curve, read_metrics
from runs.paths import RunPaths
from runs.views.facts import event_files

AXES: tuple[Axis, ...] = ("step", "tokens", "time", "flops")


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "home" / "runs" / "one")


def start(resumed_from: int | None = None) -> Start:
    return Start(
        stage="base", attempt=1, config_hash="", host="", device="", torch=None, world_size=1,
        argv=(), resumed_from=resumed_from,
    )  # fmt: skip


def step(number: int, **metrics: float) -> Step:
    axes = {"tokens": 1000.0 * number, "train_s": 0.5 * number, "flops": 1e12 * number}
    return Step(step=number, total_steps=100, metrics={**axes, **metrics})


def write(paths: RunPaths, attempt: int, *events: Start | Step | Eval) -> None:
    times = iter(range(1_000_000 * attempt, 10_000_000))
    with EventLog(paths.events("base", attempt), clock=lambda: next(times)) as log:
        for event in events:
            assert log.append(event)


def points_of(paths: RunPaths) -> dict[str, Points]:
    return read_points(event_files(paths.run_dir)["base"])


def loss(paths: RunPaths) -> OneCurve:
    return OneCurve(run_dir=paths.run_dir, stage="base", key="loss")


def test_points_keep_the_order_of_the_log_whatever_else_a_line_holds(paths: RunPaths) -> None:
    write(paths, 1, step(1, loss=3.0), step(2, loss=2.0, lr=0.1), step(3, loss=1.0))
    found = points_of(paths)
    assert found["loss"].step.tolist() == [1, 2, 3]
    assert found["loss"].value.tolist() == [3.0, 2.0, 1.0]
    assert found["lr"].step.tolist() == [2]


def test_evaluation_stands_at_the_tokens_of_the_last_step_before_it(paths: RunPaths) -> None:
    write(paths, 1, Eval(step=0, val_bpb=9.0), step(1), step(4), Eval(step=5, val_bpb=1.0))
    assert points_of(paths)["val_bpb"].axes["tokens"].tolist()[1:] == [4000.0]
    assert math.isnan(points_of(paths)["val_bpb"].axes["tokens"][0])


def test_axes_of_an_evaluation_are_those_of_its_own_attempt(paths: RunPaths) -> None:
    write(paths, 1, start(), step(1), step(9, loss=1.0))
    write(paths, 2, start(1), Eval(step=2, val_bpb=1.0), step(3), Eval(step=3, val_bpb=0.5))
    tokens = points_of(paths)["val_bpb"].axes["tokens"]
    assert math.isnan(tokens[0]) and tokens[1] == 3000.0


def test_odd_values_in_a_log_are_skipped_and_the_rest_is_kept(paths: RunPaths) -> None:
    paths.events_dir.mkdir(parents=True)
    lines = [
        '{"v":1,"seq":0,"t":1,"kind":"step","step":1,"metrics":{"a":true,"b":"NaN","c":null}}',
        '{"v":1,"seq":1,"t":2,"kind":"step","step":2,"metrics":{"a":1,"b":"Infinity","c":"x"}}',
        '{"v":1,"seq":2,"t":3,"kind":"step","step":99999999999999999999,"metrics":{"a":1}}',
        '{"v":1,"seq":3,"t":3,"kind":"step","step":3,"metrics":[1]}',
        '{"v":1,"seq":3,"t":3,"kind":"step","step":3,"metrics":{"a":',
        "[]",
        '{"v":1,"seq":4,"t":4,"kind":"step","step":4,"metrics":{"a":2}}',
        '{"v":1,"seq":5,"t":4,"kind":"step","step":5,"metrics":{"a":9}}',
    ]
    paths.events("base", 1).write_text("\n".join(lines))
    found = points_of(paths)
    assert set(found) == {"a", "b"}
    # The last line has no end yet.
    assert found["a"].step.tolist() == [2, 4]
    assert math.isnan(found["b"].value[0]) and found["b"].value[1] == math.inf


def test_compacted_points_equal_those_of_the_logs(paths: RunPaths) -> None:
    write(paths, 1, start(), *(step(i, loss=1 / i) for i in range(1, 6)), Eval(step=5, val_bpb=1))
    write(paths, 2, start(3), step(4, loss=float("nan")), step(5, loss=0.1))
    before = points_of(paths)
    assert compact_stage(paths.run_dir, "base") == paths.metrics("base")
    assert read_metrics(paths.run_dir, "base").is_compacted
    table = pq.read_table(paths.metrics("base")).to_pydict()
    for key, curve in before.items():
        rows = [index for index, name in enumerate(table["key"]) if name == key]
        for column in ("step", "t", "attempt", "value", "is_ghost"):
            written = [table[column][row] for row in rows]
            assert np.array_equal(written, getattr(curve, column), equal_nan=column == "value")
        assert [table["tokens"][row] for row in rows] == curve.axes["tokens"].tolist()


def test_a_long_curve_has_row_groups_of_its_own(paths: RunPaths) -> None:
    write(paths, 1, *(step(i, loss=1.0, mfu=0.5) for i in range(MIN_GROUP_ROWS)))
    compact_stage(paths.run_dir, "base")
    file = pq.ParquetFile(paths.metrics("base"))
    bounds = [file.metadata.row_group(i).column(0).statistics for i in range(file.num_row_groups)]
    assert [(item.min, item.max) for item in bounds] == [
        (key, key) for key in ("flops", "loss", "mfu", "tokens", "train_s")
    ]


@pytest.mark.parametrize("is_compacted", [False, True])
@pytest.mark.parametrize(
    ("x", "wanted"),
    [("step", [1, 2]), ("tokens", [1e3, 2e3]), ("time", [0.5, 1.0]), ("flops", [1e12, 2e12])],
)
def test_curve_is_read_over_any_axis(
    paths: RunPaths, x: Axis, wanted: list[float], is_compacted: bool
) -> None:
    write(paths, 1, start(), step(1, loss=3.0), step(2, loss=9.0))
    write(paths, 2, start(1), step(2, loss=2.0))
    if is_compacted:
        compact_stage(paths.run_dir, "base")
    curve = read_curve(loss(paths), x=x)
    assert curve is not None
    assert curve.x.tolist() == wanted
    assert curve.mean.tolist() == [3.0, 2.0]


@pytest.mark.parametrize("resumed_from", [MIN_GROUP_ROWS - 1, 100])
def test_a_long_curve_is_the_same_from_the_logs_and_compacted(
    paths: RunPaths, resumed_from: int
) -> None:
    write(paths, 1, start(), *(step(i, loss=1 / (i + 1)) for i in range(MIN_GROUP_ROWS)))
    write(paths, 2, start(resumed_from), step(resumed_from + 1, loss=7.0))
    logged = [read_curve(loss(paths), x=x) for x in AXES]
    compact_stage(paths.run_dir, "base")
    assert read_metrics(paths.run_dir, "base").is_compacted
    for x, before in zip(AXES, logged, strict=True):
        after = read_curve(loss(paths), x=x)
        assert before is not None and after is not None
        assert after.num.sum() == before.num.sum() == resumed_from + 2
        for name in ("x", "low", "high", "mean"):
            assert np.array_equal(getattr(after, name), getattr(before, name))


def test_curve_that_was_never_logged_is_none(paths: RunPaths) -> None:
    write(paths, 1, step(1))
    assert read_curve(loss(paths)) is None
    compact_stage(paths.run_dir, "base")
    assert read_curve(loss(paths)) is None


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=200),
    st.integers(min_value=1, max_value=50),
)
def test_buckets_hide_no_spike_and_lose_no_point(values: list[float], num_buckets: int) -> None:
    y = np.asarray(values, dtype=np.float64)
    found = reduce_curve(np.arange(y.size), y, num_buckets)
    assert len(found) <= max(num_buckets, 1)
    assert found.num.sum() == y.size
    assert (np.diff(found.x) > 0).all()
    finite = y[np.isfinite(y)]
    if finite.size:
        assert np.nanmin(found.low) == finite.min()
        assert np.nanmax(found.high) == finite.max()
    else:
        assert np.isnan(found.mean).all()


def test_buckets_of_points_out_of_order_are_in_order() -> None:
    found = reduce_curve(np.array([3, 1, 2, np.nan]), np.array([30.0, 10.0, 20.0, 99.0]), 10)
    assert (found.x.tolist(), found.mean.tolist()) == ([1, 2, 3], [10, 20, 30])


def test_best_lies_where_the_name_says() -> None:
    found = {key: direction(key) for key in ("loss", "val_bpb", "mfu", "task.accuracy", "lr")}
    assert found == {
        "loss": "down", "val_bpb": "down", "mfu": "up", "task.accuracy": "up", "lr": None,
    }  # fmt: skip

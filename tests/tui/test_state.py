"""The fold of event records into what the dashboard shows."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from runs.events import Alert, Checkpoint, Error, Eval, Event, Sample, decode, encode
from tests.tui.builders import start, step
from tui.charts.series import BLOCK, Series
from tui.live.axes import Subject
from tui.live.chart_set import MAIN, make_chart
from tui.live.present import figures
from tui.live.state import MAX_LINES, LiveView, StageRecord, apply


def records(
    *events: Event, stage: str = "base", attempt: int = 1, rank: int = 0
) -> list[StageRecord]:
    """Return events as they come back from a file."""
    found = []
    for seq, event in enumerate(events):
        record = decode(encode(event, seq=seq, t=100.0 + seq))
        assert record is not None
        found.append(StageRecord(stage=stage, attempt=attempt, rank=rank, record=record))
    return found


def test_steps_become_curves_and_latest_numbers() -> None:
    view = apply(LiveView(), records(start("base", 1), step(1, loss=4.0), step(2, loss=3.0)))
    base = view.stage("base")
    assert base.curve("loss").x.tolist() == [1.0, 2.0]
    assert base.curve("loss").y.tolist() == [4.0, 3.0]
    assert (view.current, base.step, base.latest["loss"]) == ("base", 2.0, 3.0)


def test_the_old_view_stays_valid_when_a_newer_one_grows() -> None:
    before = apply(LiveView(), records(step(1, loss=4.0)))
    one = apply(before, records(step(2, loss=3.0)))
    other = apply(before, records(step(2, loss=9.0)))
    assert before.stage("base").curve("loss").y.tolist() == [4.0]
    assert one.stage("base").curve("loss").y.tolist() == [4.0, 3.0]
    assert other.stage("base").curve("loss").y.tolist() == [4.0, 9.0]


def test_a_resume_turns_replayed_steps_into_ghosts() -> None:
    first = records(start("base", 1), *(step(n, loss=float(n)) for n in (1, 2, 3, 4)))
    second = records(start("base", 2, resumed_from=2), step(3, loss=30.0), attempt=2)
    base = apply(LiveView(), [*first, *second]).stage("base")
    assert base.curve("loss").y.tolist() == [1.0, 2.0, 30.0]
    assert [ghost.y.tolist() for ghost in base.ghosts["loss"]] == [[3.0, 4.0]]


def test_an_attempt_from_scratch_keeps_nothing_of_the_one_before() -> None:
    first = records(start("base", 1), step(0, loss=9.0), step(1, loss=8.0))
    base = apply(LiveView(), [*first, *records(start("base", 2), attempt=2)]).stage("base")
    assert len(base.curve("loss")) == 0
    assert [ghost.y.tolist() for ghost in base.ghosts["loss"]] == [[9.0, 8.0]]
    assert base.latest == {}


@given(st.lists(st.integers(0, 40), max_size=40), st.data())
def test_how_records_are_cut_into_batches_changes_nothing(
    resumes: list[int], data: st.DataObject
) -> None:
    everything: list[StageRecord] = []
    for attempt, resumed_from in enumerate([None, *resumes[:3]], start=1):
        first = (resumed_from or 0) + 1
        steps = [step(n, loss=float(n * attempt)) for n in range(first, first + 5)]
        everything += records(start("base", attempt, resumed_from), *steps, attempt=attempt)
    cut = data.draw(st.integers(0, len(everything)))
    whole = apply(LiveView(), everything).stage("base")
    parts = apply(apply(LiveView(), everything[:cut]), everything[cut:]).stage("base")
    assert whole.curve("loss").y.tolist() == parts.curve("loss").y.tolist()
    assert [g.y.tolist() for g in whole.ghosts.get("loss", ())] == [
        g.y.tolist() for g in parts.ghosts.get("loss", ())
    ]


def test_other_ranks_are_heard_only_in_the_log() -> None:
    error = Error(type="Boom", message="gpu fell off", traceback="a\nb")
    view = apply(LiveView(), records(step(1, loss=5.0), error, rank=3))
    assert view.stages == {}
    assert [(line.stage, line.text) for line in view.lines] == [
        ("base#3", "a"), ("base#3", "b"), ("base#3", "error: gpu fell off"),
    ]  # fmt: skip


def test_evaluations_samples_checkpoints_and_alerts_are_kept() -> None:
    view = apply(
        LiveView(),
        records(
            Eval(step=100, val_bpb=1.5),
            Sample(step=100, prompt="The", text="The end"),
            Checkpoint(step=100, path="checkpoints/base/step_100", bytes=2**20, sha256="ab"),
            Alert(code="spike", severity="warning", message="loss jumped"),
        ),
    )
    assert view.stage("base").curve("val_bpb").last == 1.5
    assert view.samples[0].text == "The end"
    assert view.checkpoints[0].reference == ":base@100"
    assert [(alert.code, alert.stage) for alert in view.alerts] == [("spike", "base")]
    assert [line.text for line in view.lines] == [
        "step 100: val bpb 1.5000",
        "step 100: saved 1.0 MiB",
        "warning spike: loss jumped",
    ]


def test_the_log_keeps_its_newest_lines_and_counts_them_all() -> None:
    alerts = [Alert(code="x", severity="info", message=str(n)) for n in range(MAX_LINES + 5)]
    view = apply(LiveView(), records(*alerts))
    assert (len(view.lines), view.num_lines) == (MAX_LINES, MAX_LINES + 5)
    assert view.lines[-1].text == f"info x: {MAX_LINES + 4}"


def test_records_with_missing_or_foreign_fields_are_survived() -> None:
    broken = [
        decode(b'{"v":1,"seq":0,"t":1,"kind":"step","metrics":"no","step":[]}'),
        decode(b'{"v":1,"seq":1,"t":1,"kind":"step","step":1,"metrics":{"loss":{"a":1}}}'),
        decode(b'{"v":1,"seq":2,"t":1,"kind":"eval","step":"x","val_bpb":1}'),
        decode(b'{"v":1,"seq":3,"t":1,"kind":"start"}'),
        decode(b'{"v":1,"seq":4,"t":1,"kind":"from-the-future","x":1}'),
        decode(b'{"v":1,"seq":5,"t":1,"kind":"sample"}'),
    ]
    found = [
        StageRecord(stage="base", attempt=1, rank=0, record=record)
        for record in broken
        if record is not None
    ]
    view = apply(LiveView(), found)
    assert view.num_records == len(broken)
    subject = Subject(name="x", curves=view.stage("base"))
    assert [len(make_chart([subject], spec, "step").layers) for spec in MAIN] == [0, 0, 0, 0]


def test_nan_is_counted_in_the_title_and_skipped_by_the_smooth_line() -> None:
    view = apply(LiveView(), records(*(step(n, loss=2.0) for n in (1, 2)), step(3, loss=math.nan)))
    loss = make_chart([Subject(name="x", curves=view.stage("base"))], MAIN[0], "step")
    assert (loss.latest, loss.warning) == ("NaN", "1 NaN")
    assert loss.layers[-1].y.tolist() == [2.0, 2.0, 2.0]


def test_utilisation_on_a_cpu_is_labelled_as_measured_against_a_probe() -> None:
    view = apply(LiveView(), records(start("base", 1), step(1)))
    subject = Subject(name="x", curves=view.stage("base"))
    assert make_chart([subject], MAIN[3], "step").title == "MFU (CPU probe)"
    assert figures(view.stage("base"), None)[3].label == "MFU cpu"


def test_series_split_and_growth_keep_every_point() -> None:
    series = Series()
    for n in range(1000):
        series = series.extended([float(n)], [n * 2.0])
    kept, rest = series.split(499)
    assert (len(kept), len(rest), rest.last) == (500, 500, 1998.0)
    assert kept.y.tolist() + rest.y.tolist() == series.y.tolist()


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=700), st.data()
)
@settings(deadline=None)
def test_what_is_kept_of_a_growing_curve_equals_what_its_points_say(
    values: list[float], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(values)))
    whole = Series().extended(np.arange(0.0, cut), np.array(values[:cut]))
    assert whole.num_bad == sum(not math.isfinite(value) for value in values[:cut])
    len(whole.smoothed)
    whole = whole.extended(np.arange(float(cut), len(values)), np.array(values[cut:]))
    finite = [value for value in values if math.isfinite(value)]
    assert whole.num_bad == len(values) - len(finite)
    blocks = whole.blocks
    for place in range(len(values) // BLOCK):
        block = [v for v in values[place * BLOCK : (place + 1) * BLOCK] if math.isfinite(v)]
        expected = (min(block), max(block)) if block else (math.inf, -math.inf)
        assert (blocks.low[place], blocks.high[place]) == expected
    assert len(whole.smoothed) == len(values)


def test_a_smoothed_curve_is_the_same_however_it_grew() -> None:
    values = np.random.default_rng(1).standard_normal(3000)
    grown = Series()
    for first in range(0, 3000, 7):
        part = values[first : first + 7]
        grown = grown.extended(np.arange(float(first), first + len(part)), part)
        if first % 21 == 0:
            len(grown.smoothed)
    at_once = Series().extended(np.arange(3000.0), values)
    np.testing.assert_allclose(grown.smoothed.y, at_once.smoothed.y, rtol=1e-9)
    assert grown.smoothed.y is not at_once.smoothed.y

"""The fold of event records into what the dashboard shows."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from runs.events import Alert, Checkpoint, Error, Eval, Event, Sample, decode, encode
from tests.tui.builders import start, step
from tui.charts.series import Series
from tui.live.present import charts, figures
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
    assert view.checkpoints[0].path == "checkpoints/base/step_100"
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
    assert len(charts(view.stage("base"))) == 4


def test_nan_is_counted_in_the_title_and_skipped_by_the_smooth_line() -> None:
    view = apply(LiveView(), records(*(step(n, loss=2.0) for n in (1, 2)), step(3, loss=math.nan)))
    loss = charts(view.stage("base"))[0]
    assert (loss.latest, loss.warning) == ("NaN", "1 NaN")
    assert loss.layers[-1].y.tolist() == [2.0, 2.0, 2.0]


def test_utilisation_on_a_cpu_is_labelled_as_measured_against_a_probe() -> None:
    view = apply(LiveView(), records(start("base", 1), step(1)))
    assert charts(view.stage("base"))[3].title == "MFU (CPU probe)"
    assert figures(view.stage("base"), None)[3].label == "MFU cpu"


def test_series_split_and_growth_keep_every_point() -> None:
    series = Series()
    for n in range(1000):
        series = series.extended([float(n)], [n * 2.0])
    kept, rest = series.split(499)
    assert (len(kept), len(rest), rest.last) == (500, 500, 1998.0)
    assert kept.y.tolist() + rest.y.tolist() == series.y.tolist()

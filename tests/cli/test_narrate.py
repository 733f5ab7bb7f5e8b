"""What a person who watches a run is told."""

from __future__ import annotations

from labcli.diagnostics import broken, fit
from labcli.following.feed import FeedItem
from labcli.following.narrate import Line, Narrator, event_object, tail_line
from runs.events import (
    Alert,
    End,
    Error,
    Eval,
    Event,
    EventRecord,
    Heartbeat,
    Note,
    Progress,
    Sample,
    decode,
    encode,
)
from tests.builders import checkpoint, skill, start, step


def item(event: Event, t: float = 0.0, *, stage: str = "base", rank: int = 0) -> FeedItem:
    """Return an event as it comes back from a log."""
    record = decode(encode(event, seq=0, t=t))
    assert record is not None
    return FeedItem(stage=stage, attempt=1, rank=rank, record=record)


def tell(narrator: Narrator, *events: tuple[float, Event]) -> list[Line]:
    """Return what is said about events at given times."""
    return [line for t, event in events for line in narrator.feed(item(event, t))]


def test_a_stage_is_told_from_start_to_end() -> None:
    lines = tell(
        Narrator(),
        (0.0, start("base")),
        (100.0, Eval(step=100, val_bpb=1.5)),
        (192.0, End(reason="finished")),
    )
    assert [line.text for line in lines] == [
        "base: started on cpu",
        "base: step 100 val bpb 1.5000",
        "base: finished after 3m12s, val bpb 1.5000",
    ]


def test_a_resumed_stage_names_the_step_that_it_continues() -> None:
    record = EventRecord(seq=0, t=0.0, kind="start", data={"resumed_from": 40, "device": "cpu"})
    (line,) = Narrator().feed(FeedItem(stage="base", attempt=2, rank=0, record=record))
    assert line.text == "base: continues from step 40 on cpu"


def test_steps_are_chatter_at_every_tenth_and_every_fifteen_seconds() -> None:
    steps = [(float(number), step(number)) for number in range(1, 101)]
    lines = tell(Narrator(), (0.0, start("base")), *steps)[1:]
    assert all(line.is_chatter for line in lines)
    assert len(lines) == 10


def test_quick_stages_do_not_chatter() -> None:
    steps = [(number / 100, step(number)) for number in range(1, 101)]
    assert len(tell(Narrator(), (0.0, start("base")), *steps)) == 1


def test_slow_steps_are_told_between_the_tenths() -> None:
    lines = tell(Narrator(), (0.0, start("base")), (16.0, step(1)), (32.0, step(2)))
    assert len(lines) == 3


def test_status_has_bar_pace_and_figures() -> None:
    narrator = Narrator()
    tell(
        narrator,
        (0.0, start("base")),
        (10.0, step(40)),
        (11.0, Eval(step=40, val_bpb=1.4321)),
        (20.0, step(50)),
    )
    assert narrator.status() == (
        "base  [######......]  50%  eta 50s  bpb 1.432  "
        "step 50/100  loss 3.500  23.8k tok/s  mfu 41.0%"
    )


def test_the_time_that_is_left_is_what_training_says() -> None:
    narrator = Narrator()
    tell(narrator, (0.0, start("base")), (10.0, step(40)), (20.0, step(50, eta_s=75.0)))
    assert "eta 1m15s" in narrator.status()
    tell(narrator, (21.0, Progress(done=0, total=1, unit="shards", label="waiting")))
    assert "eta" not in narrator.status()


def test_status_of_other_work_names_its_unit() -> None:
    narrator = Narrator()
    tell(narrator, (0.0, Progress(done=1200, total=4800, unit="merges", label="training")))
    assert narrator.status() == "base  [###.........]  25%  training 1.20k/4.80k merges"


def test_pace_starts_over_with_other_work() -> None:
    narrator = Narrator()
    tell(
        narrator,
        (0.0, Progress(done=1, total=10, unit="docs", label="reading")),
        (1.0, Progress(done=9, total=10, unit="docs", label="reading")),
        (2.0, Progress(done=1, total=99, unit="merges", label="merging")),
    )
    assert "eta" not in narrator.status()


def test_alerts_notes_and_errors_are_said_at_once() -> None:
    lines = tell(
        Narrator(),
        (0.0, Alert(code="spike", severity="warning", message="loss doubled")),
        (0.0, Note(message="no C++ compiler: training uncompiled")),
        (0.0, Error(type="OSError", message="disk full", traceback="")),
    )
    assert [line.text for line in lines] == [
        "base: warning: loss doubled [spike]",
        "base: note: no C++ compiler: training uncompiled",
        "base: error: OSError: disk full",
    ]
    assert not any(line.is_chatter for line in lines)


def test_checkpoints_are_chatter_and_samples_are_left_to_the_dashboard() -> None:
    lines = tell(
        Narrator(),
        (0.0, checkpoint("base", 100)),
        (0.0, Sample(step=1, prompt="a", text="b")),
        (0.0, Heartbeat()),
    )
    assert lines == [Line(text="base: checkpoint at step 100 (1.0 MiB)", is_chatter=True)]


def test_skills_are_told_beside_chance() -> None:
    event = Eval(step=100, results={"spelling": skill(0.5)})
    (line,) = Narrator().feed(item(event, stage="eval-sft"))
    assert line.text == "eval-sft: step 100 spelling 50.0% (chance 1.0%)"


def test_other_ranks_are_heard_only_when_something_is_wrong() -> None:
    narrator = Narrator()
    assert narrator.feed(item(start("base"), rank=1)) == []
    (line,) = narrator.feed(item(Error(type="E", message="m", traceback=""), rank=1))
    assert line.text == "base: error: E: m"


def test_a_figure_that_is_not_finite_is_shown_as_such() -> None:
    assert "loss nan" in tail_line(item(step(1, loss=float("nan"))))


def test_event_object_holds_the_line_and_its_place() -> None:
    told = event_object(item(End(reason="finished"), 1.5))
    assert told == {
        "v": 1, "seq": 0, "t": 1.5, "kind": "end",
        "stage": "base", "attempt": 1, "rank": 0, "reason": "finished",
    }  # fmt: skip


def test_status_loses_whole_parts_in_a_narrow_terminal() -> None:
    text = "base  [######......]  50%  eta 50s  bpb 1.432"
    assert fit(text, 79) == text
    assert fit(text, 40) == "base  [######......]  50%  eta 50s"
    assert fit("unbroken", 4) == "unbr"


def test_the_building_of_kernels_does_not_lengthen_what_is_left() -> None:
    narrator = Narrator()
    building = Progress(done=0, total=100, unit="steps", label="building kernels")
    tell(narrator, (0.0, building), (100.0, step(1)), (101.0, step(2)))
    assert "eta 1m38s" in narrator.status()


def test_a_stage_that_tells_what_is_left_is_believed() -> None:
    narrator = Narrator()
    tell(narrator, (0.0, step(1)), (50.0, step(2, eta_s=33.0)))
    assert "eta 33s" in narrator.status()


def test_a_stage_without_news_is_said_to_be_setting_up() -> None:
    narrator = Narrator()
    tell(narrator, (0.0, start("base")))
    assert narrator.status() == "base  setting up"


def test_an_error_of_ours_is_told_without_its_class_and_no_class_twice() -> None:
    ours = Error(type="UsageError", message="no such corpus", traceback="")
    other = Error(type="ValueError", message="ValueError: too short", traceback="")
    lines = tell(Narrator(), (0.0, ours), (0.0, other))
    assert [line.text for line in lines] == [
        "base: error: no such corpus",
        "base: error: ValueError: too short",
    ]


def test_long_lines_are_broken_between_words() -> None:
    note = "base: note: training is compiled; the first step builds the kernels"
    assert broken(note, 40).split("\n") == [
        "base: note: training is compiled; the",
        "  first step builds the kernels",
    ]


def test_a_path_is_not_broken() -> None:
    path = "/home/someone/.labcli/runs/01M809FJXF4Z6MZK6V64K5QGY7-speedrun"
    assert broken(f"run speedrun in {path}", 40).split("\n")[-1].strip() == path

"""`bench tui`: every figure is measured and has its place; how fast is not judged here."""

from __future__ import annotations

import json

import pytest

from labcli.bench.tui.figures import LAST_STEP, ages
from labcli.bench.tui.terminal import FRAME_BEGIN, FRAME_END, Frame, frames_in
from runs.errors import LabError
from tests.cli.conftest import Labcli

FIELDS = {"task", "tool", "figure", "value", "unit", "target", "met"}


def test_every_figure_is_one_row_on_one_line_beside_its_target(labcli: Labcli) -> None:
    sizes = ["--points", "900", "--seconds", "0.5", "--rounds", "1", "--text-size", "1kb"]
    result = labcli("bench", "tui", "--json", "--only", "points", "--only", "playground", *sizes)
    assert result.code == 0, result.err
    rows = json.loads(result.out)
    assert len(result.out.splitlines()) == 1
    assert all(set(row) == FIELDS and row["value"] > 0 for row in rows)
    assert {(row["figure"], row["tool"]): row["target"] for row in rows if row["target"]} == {
        ("cpu per frame", "pty"): 16,
        ("resident", "pty"): 200,
        ("keystroke median", "pty"): 30,
        ("keystroke cpu", "headless"): 30,
    }


def test_a_step_is_as_old_as_it_was_when_it_or_a_later_one_was_painted() -> None:
    frames = [painted(101, at_s=1.0), painted(101, at_s=2.0), painted(103, at_s=3.5)]
    assert ages({101: 0.75, 102: 2.5, 103: 3.25}, frames) == [0.25, 1.0, 0.25]


def test_a_step_that_is_never_painted_is_a_failure_and_not_left_out() -> None:
    with pytest.raises(LabError, match="step 102 was written and never painted"):
        ages({101: 0.5, 102: 0.6}, [painted(101, at_s=1.0)])


def test_frames_are_found_however_their_bytes_arrive() -> None:
    sent = FRAME_BEGIN + b"\x1b[1mone" + FRAME_END + b"between" + FRAME_BEGIN + b"two" + FRAME_END
    for cut in range(len(sent)):
        first, rest = frames_in(sent[:cut])
        second, rest = frames_in(rest + sent[cut:])
        assert [*first, *second] == [b"\x1b[1mone", b"two"]
        assert rest == b""


def test_an_unknown_task_is_named_with_the_closest_one(labcli: Labcli) -> None:
    result = labcli("bench", "tui", "--only", "point")
    assert result.code == 2
    assert "no task 'point' to measure" in result.err and "points" in result.err


def painted(step: int, *, at_s: float) -> Frame:
    """Return a frame that shows a step."""
    data = f"\x1b[38;5;1m{step}/{LAST_STEP} steps\x1b[0m".encode()
    return Frame(ended_s=at_s, data=data)

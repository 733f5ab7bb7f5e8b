"""The text panes as toned lines: what happened, what the model wrote, what was saved. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from runs.alerting.host_alerts import RunAlert
from tui.live.narrate import Line
from tui.live.saved import SavedCheckpoint
from tui.live.state import LiveView
from tui.shell import format as fmt
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, Tone, ToneLine

_STAGE_WIDTH = 10
_SIZE_WIDTH = 9
_WRITTEN_WIDTH = 8
_SEVERITY_WIDTH = 8
_PRINTED_STEP = re.compile(r"\bstep[ :=#]*0*(\d[\d,]*)", re.IGNORECASE)
_ALERT_TONES: dict[str, Tone] = {"error": "error", "warning": "warning"}


@dataclass(frozen=True, slots=True)
class StepLine(ToneLine):
    """A line that tells of a step, which charts can point at."""

    step: float | None = None


def step_of(line: ToneLine) -> float | None:
    """Return the step that a line tells of, if it does."""
    return line.step if isinstance(line, StepLine) else None


def happening(line: Line) -> ToneLine:
    """Return one narrated event: the time, the stage and the sentence."""
    pieces = (
        Piece(f"{fmt.clock(line.t)} ", "quiet"),
        Piece(line.stage.ljust(_STAGE_WIDTH), "quiet"),
        Piece(line.text, line.tone),
    )
    return StepLine(pieces, line.step)


def printed(lines: Sequence[str]) -> tuple[ToneLine, ...]:
    """Return what a worker printed, as it stands."""
    return tuple(StepLine((Piece(line),), _printed_step(line)) for line in lines)


def _printed_step(line: str) -> float | None:
    found = _PRINTED_STEP.search(line)
    return float(found[1].replace(",", "")) if found else None


def heading(text: str) -> ToneLine:
    """Return a line that says where the following lines come from."""
    return ToneLine((Piece(text, "quiet"),))


def checkpoint_lines(checkpoints: Sequence[SavedCheckpoint]) -> tuple[ToneLine, ...]:
    """Return a table of checkpoints with its heading, narrow enough for half of a terminal."""
    if not checkpoints:
        return ()
    room = max(len(item.written.reference) for item in checkpoints)
    room = max(room, len("reference"))
    head = f"{'reference':{room}}  {'size':>{_SIZE_WIDTH}}  {'written':{_WRITTEN_WIDTH}}"
    return (heading(head), *(_checkpoint(item, room) for item in checkpoints))


def alert_lines(alerts: Sequence[RunAlert], glyphs: Glyphs) -> tuple[ToneLine, ...]:
    """Return one line for each alert: when, how bad, where, and what."""
    return tuple(_alert(alert, glyphs) for alert in alerts)


def _alert(alert: RunAlert, glyphs: Glyphs) -> ToneLine:
    tone = _ALERT_TONES.get(alert.severity, "plain")
    place = alert.stage or ""
    if alert.step is not None:
        place = f"{place}@{alert.step:,}"
    pieces = (
        Piece(f"{fmt.clock(alert.t)} ", "quiet"),
        Piece(f"{glyphs.alert} " if alert.is_trouble else "  ", tone),
        Piece(alert.severity.ljust(_SEVERITY_WIDTH), tone),
        Piece(f"{place:{_STAGE_WIDTH + 2}} ", "quiet"),
        Piece(alert.message, "strong"),
        Piece(f"  {alert.code}", "quiet"),
    )
    return StepLine(pieces, None if alert.step is None else float(alert.step))


def nothing_yet(pane: str, view: LiveView) -> tuple[ToneLine, ...]:
    """Return what an empty pane says."""
    if not view.num_records:
        return (heading("the run has not said anything yet"),)
    what = {
        "samples": "no samples yet: a model stage writes them every sample_every steps",
        "checkpoints": "no checkpoints yet: a model stage writes them every save_every steps",
        "alerts": "no alerts: nothing has looked wrong so far",
    }
    return (heading(what.get(pane, "nothing yet")),)


def _checkpoint(item: SavedCheckpoint, room: int) -> ToneLine:
    made = item.written
    size = "" if made.num_bytes is None else fmt.size(made.num_bytes)
    when = f"{fmt.clock(made.t):{_WRITTEN_WIDTH}}"
    pieces = (
        Piece(f"{made.reference:{room}}", "strong" if item.is_kept else "quiet"),
        Piece(f"  {size:>{_SIZE_WIDTH}}  {when}", "plain" if item.is_kept else "quiet"),
        Piece(f"  {item.mark}".rstrip(), "good" if item.is_best else "quiet"),
    )
    return StepLine(pieces, float(made.step))

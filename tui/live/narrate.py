"""Event records as sentences for the log pane. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from runs.events import EventRecord, number
from tui.shell.format import decimal, size
from tui.shell.tones import Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the log pane: when, in which stage, what happened, and at which step."""

    t: float
    stage: str
    tone: Tone
    text: str
    step: float | None = None


def narrate(stage: str, rank: int, record: EventRecord) -> list[Line]:
    """Return the lines that tell of a record; most kinds say nothing here."""
    tone, text = _sentence(record)
    if not text:
        return []
    place = stage if rank == 0 else f"{stage}#{rank}"
    parts = text.rstrip().splitlines()
    step = number(record.data.get("step"))
    return [Line(t=record.t, stage=place, tone=tone, text=part, step=step) for part in parts]


def _sentence(record: EventRecord) -> tuple[Tone, str]:
    data = record.data
    match record.kind:
        case "start":
            return "plain", _start(record)
        case "eval" if (bpb := number(data.get("val_bpb"))) is not None:
            return "good", f"step {_step(record)}: val bpb {decimal(bpb, 4)}"
        case "checkpoint":
            num_bytes = number(data.get("bytes")) or 0.0
            return "good", f"step {_step(record)}: saved {size(num_bytes)}"
        case "artifact":
            num_bytes = number(data.get("bytes")) or 0.0
            return "good", f"artifact {data.get('name')}, {size(num_bytes)}"
        case "alert":
            severity = data.get("severity")
            tone: Tone = "error" if severity == "error" else "warning"
            return tone, f"{severity} {data.get('code')}: {data.get('message')}"
        case "note":
            return "plain", f"{data.get('message')}"
        case "error":
            trace = str(data.get("traceback") or "")
            return "error", f"{trace}\nerror: {data.get('message')}".strip()
        case "end":
            reason = data.get("reason")
            return ("error" if reason == "failed" else "good"), f"ended: {reason}"
        case _:
            return "plain", ""


def _start(record: EventRecord) -> str:
    data = record.data
    ranks = number(data.get("world_size")) or 1.0
    crew = "1 rank" if ranks == 1 else f"{ranks:.0f} ranks"
    text = f"attempt {data.get('attempt')} started on {data.get('device')}, {crew}"
    resumed = number(data.get("resumed_from"))
    return text if resumed is None else f"{text}, continuing from step {resumed:,.0f}"


def _step(record: EventRecord) -> str:
    return f"{number(record.data.get('step')) or 0.0:,.0f}"

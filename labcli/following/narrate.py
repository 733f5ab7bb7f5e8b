"""Events in words: what an attached run says, and one line per event for `runs tail`. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labcli.following.feed import FeedItem
from labcli.text.figures import figure, percent, seconds, size
from runs.errors import LabError
from runs.events import VERSION, number
from runs.record import EXPERIMENTS
from tui.analysis.words import short_count
from tui.shell.format import clock

CHATTER_EVERY_S = 15.0
CHATTER_AT_LEAST_S = 2.0
BAR_WIDTH = 12
RATE_WINDOW = 200
_ERRORS: tuple[type[LabError], ...] = (LabError, *LabError.__subclasses__())
OWN_ERRORS = frozenset(error.__name__ for error in _ERRORS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Something to say; chatter is for logs, a terminal shows the status line instead."""

    text: str
    is_chatter: bool = False


@dataclass(slots=True, kw_only=True)
class StageProgress:
    """How far the current stage is, from its events alone; `told_eta_s` is what training says.

    kind: of the events that count now: those of another one tell nothing of their pace.
    """

    stage: str
    started_s: float
    done: float = 0.0
    total: float = 0.0
    told_eta_s: float | None = None
    detail: str = ""
    kind: str = ""
    val_bpb: float | None = None
    points: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=RATE_WINDOW))

    @property
    def share(self) -> float | None:
        """Share of the work that is done; None when it cannot be told."""
        return min(self.done / self.total, 1.0) if self.total > 0 else None

    @property
    def eta_s(self) -> float | None:
        """Seconds to the end of the stage, as training says it or else at the recent pace."""
        if self.told_eta_s is not None and self.share != 1.0:
            return self.told_eta_s
        if len(self.points) < 2 or self.share == 1.0:
            return None
        (first_t, first_done), (last_t, last_done) = self.points[0], self.points[-1]
        if last_done <= first_done or last_t <= first_t:
            return None
        return (self.total - last_done) * (last_t - first_t) / (last_done - first_done)

    def advance(self, t: float, done: float, total: float, *, kind: str) -> None:
        """Take note of a new position."""
        if total != self.total or done < self.done or kind != self.kind:
            self.points.clear()
        self.done, self.total, self.kind = done, total, kind
        self.points.append((t, done))


class Narrator:
    """Turns the events of a run into the lines that a person watching it wants to read."""

    def __init__(self) -> None:
        self._current: StageProgress | None = None
        self._said_at_s = 0.0
        self._said_tenths = 0

    def feed(self, item: FeedItem) -> list[Line]:
        """Return what to say about one event."""
        data, kind = item.record.data, item.record.kind
        if item.rank and kind not in ("alert", "error"):
            return []
        if kind == "start":
            return [self._start(item)]
        if kind in ("progress", "step"):
            return self._advance(item)
        if kind == "eval":
            bpb = number(data.get("val_bpb"))
            if bpb is not None:
                self._progress(item).val_bpb = bpb
        if kind == "end":
            return [self._end(item)]
        text = describe(kind, data)
        if not text or kind in ("heartbeat", "sample", "turn", "artifact"):
            return []
        return [Line(text=f"{item.stage}: {text}", is_chatter=kind == "checkpoint")]

    def status(self) -> str:
        """Return the line that shows where the run is now, the most important parts first."""
        current = self._current
        if current is None:
            return "starting"
        parts = [current.stage]
        if current.share is not None:
            filled = int(current.share * BAR_WIDTH)
            parts.append(f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {current.share:4.0%}")
        if current.eta_s is not None:
            parts.append(f"eta {seconds(current.eta_s)}")
        if current.val_bpb is not None:
            parts.append(f"bpb {figure(current.val_bpb, 3)}")
        parts.append(current.detail or "setting up")
        return "  ".join(parts)

    def _progress(self, item: FeedItem) -> StageProgress:
        if self._current is None or self._current.stage != item.stage:
            self._current = StageProgress(stage=item.stage, started_s=item.record.t)
            self._said_at_s, self._said_tenths = item.record.t, 0
        return self._current

    def _start(self, item: FeedItem) -> Line:
        self._current = None
        self._progress(item)
        data = item.record.data
        resumed_from = data.get("resumed_from")
        where = f" on {data['device']}" if data.get("device") else ""
        if resumed_from is not None:
            return Line(text=f"{item.stage}: continues from step {resumed_from}{where}")
        # An experiment keeps what it has in files of its own, and says where it goes on.
        restart = " again" if item.stage in EXPERIMENTS else " again, from its beginning"
        again = restart if item.attempt > 1 else ""
        return Line(text=f"{item.stage}: started{again}{where}")

    def _advance(self, item: FeedItem) -> list[Line]:
        current, data = self._progress(item), item.record.data
        if item.record.kind == "step":
            done, total = number(data.get("step")), number(data.get("total_steps"))
            metrics = data.get("metrics")
            told = metrics.get("eta_s") if isinstance(metrics, dict) else None
            current.told_eta_s = number(told)
        else:
            done, total = number(data.get("done")), number(data.get("total"))
            current.told_eta_s = None
        current.advance(item.record.t, done or 0.0, total or 0.0, kind=item.record.kind)
        current.detail = describe(item.record.kind, data) or ""
        tenths = int((current.share or 0.0) * 10)
        silence_s = item.record.t - self._said_at_s
        is_tenth = tenths > self._said_tenths and silence_s >= CHATTER_AT_LEAST_S
        if not is_tenth and silence_s < CHATTER_EVERY_S:
            return []
        self._said_at_s, self._said_tenths = item.record.t, tenths
        return [Line(text=self.status(), is_chatter=True)]

    def _end(self, item: FeedItem) -> Line:
        current = self._progress(item)
        self._current = None
        reason = str(item.record.data.get("reason", "ended"))
        text = f"{item.stage}: {reason} after {seconds(item.record.t - current.started_s)}"
        if current.val_bpb is not None:
            text += f", val bpb {figure(current.val_bpb)}"
        return Line(text=text)


def describe(kind: str, data: Mapping[str, Any]) -> str | None:
    """Return an event in words, without its stage; None for a kind with nothing to say."""
    describer = _DESCRIBERS.get(kind)
    return describer(data) if describer else None


def event_object(item: FeedItem) -> dict[str, Any]:
    """Return an event as its log line holds it, with the place it came from added."""
    record = item.record
    where = {"stage": item.stage, "attempt": item.attempt, "rank": item.rank}
    return {
        "v": VERSION,
        "seq": record.seq,
        "t": record.t,
        "kind": record.kind,
        **where,
        **record.data,
    }


def tail_line(item: FeedItem) -> str:
    """Return the line of `runs tail` for one event."""
    rank = f".r{item.rank}" if item.rank else ""
    kind = item.record.kind
    text = describe(kind, item.record.data) or ""
    if not text.startswith(kind):
        text = f"{kind} {text}"
    return f"{clock(item.record.t)} {item.stage}{rank} {text}".rstrip()


def _describe_start(data: Mapping[str, Any]) -> str:
    resumed_from = data.get("resumed_from")
    origin = "" if resumed_from is None else f" from step {resumed_from}"
    return f"attempt {data.get('attempt')}{origin} on {data.get('device')}"


def _describe_progress(data: Mapping[str, Any]) -> str:
    done, total = number(data.get("done")), number(data.get("total"))
    share = f"{short_count(done)}/{short_count(total)}"
    return f"{data.get('label', '')} {share} {data.get('unit', '')}"


def _describe_step(data: Mapping[str, Any]) -> str:
    metrics = data.get("metrics") or {}
    total = data.get("total_steps")
    parts = [f"step {data.get('step')}" + ("" if total is None else f"/{total}")]
    loss, speed = number(metrics.get("loss")), number(metrics.get("tok_per_sec"))
    mfu = number(metrics.get("mfu"))
    if loss is not None:
        parts.append(f"loss {figure(loss, 3)}")
    if speed is not None:
        parts.append(f"{short_count(speed)} tok/s")
    if mfu is not None:
        parts.append(f"mfu {percent(mfu)}")
    return "  ".join(parts)


def _describe_eval(data: Mapping[str, Any]) -> str:
    parts = []
    bpb = number(data.get("val_bpb"))
    if bpb is not None:
        parts.append(f"val bpb {figure(bpb)}")
    for task, result in (data.get("results") or {}).items():
        accuracy, chance = number(result.get("accuracy")), number(result.get("chance"))
        if accuracy is None:
            continue
        beside = f" (chance {percent(chance)})" if chance is not None else ""
        parts.append(f"{task} {percent(accuracy)}{beside}")
    step = f"step {data['step']} " if data.get("step") and parts else ""
    return step + ", ".join(parts)


def _describe_checkpoint(data: Mapping[str, Any]) -> str:
    return f"checkpoint at step {data.get('step')} ({size(number(data.get('bytes')))})"


def _describe_error(data: Mapping[str, Any]) -> str:
    """Return what went wrong; the name of an error of ours says nothing to a person."""
    kind, message = str(data.get("type")), str(data.get("message"))
    is_told = kind in OWN_ERRORS or message.startswith(f"{kind}:")
    return f"error: {message}" if is_told else f"error: {kind}: {message}"


def _describe_artifact(data: Mapping[str, Any]) -> str:
    return f"{data.get('name')} at {data.get('path')} ({size(number(data.get('bytes')))})"


def _describe_turn(data: Mapping[str, Any]) -> str:
    place = f"turn {data.get('conversation')}.{data.get('index')} {data.get('side')}"
    nats = number(data.get("entropy_nats"))
    bits = "" if nats is None else f"  {nats / math.log(2):.2f} bits"
    return f"{place} [{data.get('label')}]{bits}  {data.get('text')!r}"


_DESCRIBERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "start": _describe_start,
    "progress": _describe_progress,
    "step": _describe_step,
    "eval": _describe_eval,
    "sample": lambda data: f"{data.get('prompt')!r} -> {data.get('text')!r}",
    "turn": _describe_turn,
    "checkpoint": _describe_checkpoint,
    "artifact": _describe_artifact,
    "alert": lambda data: f"{data.get('severity')}: {data.get('message')} [{data.get('code')}]",
    "note": lambda data: f"note: {data.get('message')}",
    "error": _describe_error,
    "end": lambda data: str(data.get("reason")),
}

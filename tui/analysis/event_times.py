"""Where the time of a stage went, and how its ranks kept pace, from the times of its events.

Each stretch of time counts for the event that it ended with: up to a `checkpoint` the stage was
saving, up to an `eval` it was measuring. Heartbeats come from a thread beside the work and end no
stretch. A step that says how long its own parts took divides its stretch by them. Reads only what
was added since the last time.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runs.views.facts import EventFile

# The writer puts these two side by side in every line.
_EVENT = re.compile(rb'"t":([0-9.eE+]+),"kind":"([a-z]+)"([^\n]*)')
# What a step says of its parts; its evaluation and its saving have events of their own.
STEP_PARTS: Mapping[str, str] = {
    "time_data_s": "data",
    "time_forward_backward_s": "forward-backward",
    "time_optimizer_s": "optimizer",
    "time_sync_s": "sync",
}
_PART = re.compile(rb'"(%s)":([0-9.eE+-]+)' % "|".join(STEP_PARTS).encode())
_CHUNK_BYTES = 1024 * 1024
FIRST_STEP = "first step"
_PHASES: Mapping[str, str] = {
    "start": "set-up", "note": "set-up", "progress": "preparing", "step": "steps",
    "eval": "eval", "checkpoint": "save", "sample": "samples", "turn": "turns",
    "artifact": "artifacts", "end": "closing",
}  # fmt: skip
# In the order in which a stage comes to them.
PHASES = (
    "set-up", "preparing", FIRST_STEP, *STEP_PARTS.values(), "steps", "between steps", "turns",
    "eval", "samples", "save", "artifacts", "closing", "other",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTimes:
    """What the times in one event log tell; `spent_s` is by phase."""

    stage: str
    attempt: int
    rank: int
    num_events: Mapping[str, int]
    spent_s: Mapping[str, float]
    first_s: float | None
    last_s: float | None
    longest_silence_s: float


class EventTimes:
    """The times of one event log, read as far as it goes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self._counts: Counter[str] = Counter()
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._first: float | None = None
        self._last: float | None = None
        self._last_work: float | None = None
        self._longest = 0.0

    def advance(self) -> None:
        """Read the complete lines that were added."""
        try:
            with open(self.path, "rb") as stream:
                stream.seek(self.offset)
                while chunk := stream.read(_CHUNK_BYTES):
                    end = chunk.rfind(b"\n") + 1
                    if not end:
                        return
                    self._take(chunk[:end])
                    self.offset += end
                    stream.seek(self.offset)
        except OSError:
            return

    def times(self, file: EventFile) -> FileTimes:
        """Return what the log tells so far."""
        return FileTimes(
            stage=file.stage,
            attempt=file.attempt,
            rank=file.rank,
            num_events=dict(self._counts),
            spent_s=dict(self._spent),
            first_s=self._first,
            last_s=self._last,
            longest_silence_s=self._longest,
        )

    def _take(self, lines: bytes) -> None:
        for match in _EVENT.finditer(lines):
            t, kind = float(match[1]), match[2].decode()
            self._counts[kind] += 1
            if self._last is not None:
                self._longest = max(self._longest, t - self._last)
            self._first = t if self._first is None else self._first
            self._last = t
            if kind == "heartbeat":
                continue
            if self._last_work is not None:
                self._spend(kind, max(t - self._last_work, 0.0), match[3])
            self._last_work = t

    def _spend(self, kind: str, seconds: float, rest: bytes) -> None:
        """Count a stretch for the event that it ended with; `rest` is the rest of its line."""
        if kind != "step":
            self._spent[_PHASES.get(kind, "other")] += seconds
        elif self._counts["step"] == 1:
            self._spent[FIRST_STEP] += seconds
        elif parts := _parts(rest):
            for phase, part_s in parts:
                self._spent[phase] += part_s
            # Nothing where the parts outlast the stretch, as when a step is told of later.
            self._spent["between steps"] += max(seconds - sum(part_s for _, part_s in parts), 0.0)
        else:
            self._spent["steps"] += seconds


def _parts(line: bytes) -> list[tuple[str, float]]:
    """Return the measured phases of a step and their seconds."""
    return [(STEP_PARTS[part[1].decode()], float(part[2])) for part in _PART.finditer(line)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseShare:
    """A part of a stage's time: where in the waterfall it begins, and its share of the whole."""

    phase: str
    seconds: float
    begins: float
    share: float


def waterfall(files: Sequence[FileTimes], stage: str) -> list[PhaseShare]:
    """Return the phases of a stage over all attempts of rank 0, those without time left out."""
    spent: defaultdict[str, float] = defaultdict(float)
    for file in files:
        if file.stage == stage and file.rank == 0:
            for phase, seconds in file.spent_s.items():
                spent[phase] += seconds
    total = sum(spent.values())
    found, begins = [], 0.0
    for name in PHASES:
        if spent[name] > 0 and total > 0:
            share = spent[name] / total
            found.append(PhaseShare(phase=name, seconds=spent[name], begins=begins, share=share))
            begins += share
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RankPace:
    """One rank beside the others of its attempt; times are in seconds.

    late_s: after the first rank to start. behind_s: its last word before the latest of all.
    """

    rank: int
    late_s: float
    behind_s: float
    longest_silence_s: float
    num_heartbeats: int
    num_events: int


def rank_paces(files: Sequence[FileTimes], stage: str) -> list[RankPace]:
    """Return how the ranks of the newest attempt of a stage kept pace; one alone has none."""
    own = [file for file in files if file.stage == stage and file.first_s is not None]
    newest = max((file.attempt for file in own), default=0)
    peers = sorted((file for file in own if file.attempt == newest), key=lambda file: file.rank)
    if len(peers) < 2:
        return []
    first = min(file.first_s or 0.0 for file in peers)
    last = max(file.last_s or 0.0 for file in peers)
    return [
        RankPace(
            rank=file.rank,
            late_s=(file.first_s or first) - first,
            behind_s=last - (file.last_s or last),
            longest_silence_s=file.longest_silence_s,
            num_heartbeats=file.num_events.get("heartbeat", 0),
            num_events=sum(file.num_events.values()),
        )
        for file in peers
    ]

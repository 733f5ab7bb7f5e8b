"""Every event of a run, in the order it was written, as its files grow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from runs.alerting.host_alerts import AlertFeed
from runs.events import EventRecord, EventTail
from runs.paths import RunPaths

_EVENT_FILE = re.compile(r"(?P<stage>.+)\.a(?P<attempt>\d+)\.r(?P<rank>\d+)\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedItem:
    """One event with the place it came from."""

    stage: str
    attempt: int
    rank: int
    record: EventRecord


class RunFeed:
    """Follows all event files of one run, and what its supervisor warns of.

    New attempts and stages are picked up as they come.
    """

    def __init__(self, paths: RunPaths) -> None:
        self._events_dir = paths.events_dir
        self._alerts = AlertFeed(paths.host)
        self._tails: dict[Path, tuple[str, int, int, EventTail]] = {}

    def read(self) -> list[FeedItem]:
        """Return what was added since the last call, oldest first."""
        self._discover()
        items = [
            FeedItem(stage=stage, attempt=attempt, rank=rank, record=record)
            for stage, attempt, rank, tail in self._tails.values()
            for record in tail.read()
        ]
        items += [
            FeedItem(stage=one.stage, attempt=one.attempt, rank=0, record=one.record)
            for one in self._alerts.read()
        ]
        return sorted(items, key=lambda item: item.record.t)

    def _discover(self) -> None:
        try:
            files = sorted(self._events_dir.iterdir())
        except FileNotFoundError:
            return
        for path in files:
            parts = _EVENT_FILE.fullmatch(path.name)
            if parts and path not in self._tails:
                stage, attempt, rank = parts["stage"], int(parts["attempt"]), int(parts["rank"])
                self._tails[path] = (stage, attempt, rank, EventTail(path))

"""Noticing that a stage hangs: no event of its work for far longer than its steps take.

The limits are those by which every reader judges; the clock here is monotonic, so that a
machine that slept is not taken for a stage that hangs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runs.supervision.policy import Policy
from runs.views.facts import FoldCache, event_files
from runs.views.fold import StageFacts, fold_stage
from runs.views.states import SILENCE_LIMIT_S, work_limit_s

LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """What is known when a stage begins to count as hanging."""

    idle_s: float
    limit_s: float
    step: int | None
    phase: str | None
    step_s: float | None

    def describe(self) -> str:
        """Return it in a few words."""
        where = f" after step {self.step}" if self.step is not None else ""
        doing = f" (in {self.phase})" if self.phase else ""
        usual = f"; a step takes {self.step_s:.3g} s" if self.step_s is not None else ""
        return f"nothing for {self.idle_s:.0f} s{where}{doing}{usual}"


class StallWatch:
    """Follows the events of one attempt and says when it begins to hang, and when it goes on."""

    def __init__(
        self,
        run_dir: Path,
        stage: str,
        attempt: int,
        policy: Policy,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_dir, self._stage, self._attempt = run_dir, stage, attempt
        self._policy = policy
        self._clock = clock
        self._cache = FoldCache()
        self._worked_s = self._heard_s = self._due_s = clock()
        self._last_work_s: float | None = None
        self._last_s: float | None = None
        self.is_hanging = False

    def look(self) -> Hang | Literal["goes on"] | None:
        """Return what has changed since the last look, if anything has."""
        now = self._clock()
        if now < self._due_s:
            return None
        self._due_s = now + LOOK_EVERY_S
        facts = self._facts()
        if facts.end_reason is not None:
            return None
        hang = self._judge(facts, now)
        was_hanging, self.is_hanging = self.is_hanging, hang is not None
        if hang is not None:
            return None if was_hanging else hang
        return "goes on" if was_hanging else None

    def _judge(self, facts: StageFacts, now: float) -> Hang | None:
        if facts.last_s != self._last_s:
            self._last_s, self._heard_s = facts.last_s, now
        if facts.last_work_s != self._last_work_s:
            self._last_work_s, self._worked_s = facts.last_work_s, now
        limit_s = work_limit_s(
            step_s=facts.step_s, phase=facts.phase, min_s=self._policy.stall_min_s
        )
        # Before the first event nothing but the imports can be slow, and there is no heartbeat.
        has_spoken = facts.last_s is not None
        silence_s = now - self._heard_s if has_spoken else 0.0
        idle_s = now - self._worked_s
        if idle_s <= limit_s and silence_s <= SILENCE_LIMIT_S:
            return None
        return Hang(
            idle_s=idle_s,
            limit_s=limit_s,
            step=facts.step,
            phase=facts.phase,
            step_s=facts.step_s,
        )

    def _facts(self) -> StageFacts:
        files = event_files(self._run_dir).get(self._stage, [])
        mine = [file for file in files if file.attempt == self._attempt]
        return fold_stage([self._cache.fold(file) for file in mine])

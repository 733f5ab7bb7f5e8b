"""Whether a stage that ended badly is started again, and when: decided, not done, here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runs.errors import LabError
from runs.supervision.policy import Policy
from runs.views.states import StageState

# Restarts in a row that came no further than the one before: the stage fails at the same place.
FRUITLESS_LIMIT = 2
MAX_BACKOFF_S = 300.0
_RESTARTED = frozenset({"failed", "crashed", "killed", "stalled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BadEnd:
    """How an attempt ended, and the step of the newest committed checkpoint then."""

    state: StageState
    step: int
    error_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """The stage is to be started again after `delay_s`; `number` counts from 1."""

    number: int
    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRestart:
    """The stage stays as it ended; `reason` is None where nobody had asked for restarts."""

    reason: str | None = None


class Restarts:
    """The restarts of one stage under one supervisor; `step` is where its first attempt began."""

    def __init__(self, policy: Policy, *, step: int) -> None:
        self._policy = policy
        self._step = step
        self._num_made = 0
        self._num_fruitless = 0

    def decide(self, ended: BadEnd) -> Restart | NoRestart:
        """Return what follows, and count it as done."""
        if ended.state not in _RESTARTED or self._policy.retries == 0:
            return NoRestart()
        if ended.error_type in _expected_errors():
            return NoRestart(reason="the same input would fail again")
        if ended.step > self._step:
            self._num_fruitless = 0
        elif self._num_made:
            self._num_fruitless += 1
        self._step = max(self._step, ended.step)
        if self._num_fruitless >= FRUITLESS_LIMIT:
            times = self._num_fruitless + 1
            return NoRestart(
                reason=f"it ended {times} times without getting past step {self._step}"
            )
        if self._num_made >= self._policy.retries:
            return NoRestart(reason=f"its {self._policy.retries} restarts are used up")
        self._num_made += 1
        delay_s = self._policy.backoff_s * 2.0**self._num_fruitless
        return Restart(number=self._num_made, delay_s=min(delay_s, MAX_BACKOFF_S))


def _expected_errors() -> frozenset[str]:
    # Bad input, a missing file, a full disk at the end: what a person has to set right first.
    return frozenset(kind.__name__ for kind in _family(LabError))


def _family(kind: type[LabError]) -> Iterator[type[LabError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)

"""What is wrong with a training, decided from its events alone: pure, no files, no clock.

One detector follows one attempt of one stage. A condition is reported when it begins, and again
only after it has been over for a while.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from runs.events import EventRecord, Severity, number
from runs.settings import AlertRules

# The first steps compile, warm caches and fall fast: nothing is judged by them.
WARMUP_STEPS = 20
START_STEPS = 8
# A median absolute deviation is this share of the standard deviation of a normal distribution.
_MAD = 0.6745
# The least deviation of log loss that counts as its noise.
_MIN_SPREAD = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a person should look at, at a step of a stage."""

    code: str
    severity: Severity
    message: str
    step: int


@dataclass(slots=True)
class _Latch:
    """A condition that is reported once: it must be calm for a while before it can return."""

    calm_after: int
    is_raised: bool = False
    num_calm: int = 0

    def begins(self, is_bad: bool, *, is_calm: bool) -> bool:
        """Take one observation; return whether the condition begins with it."""
        self.num_calm = self.num_calm + 1 if is_calm and not is_bad else 0
        if self.is_raised:
            self.is_raised = self.num_calm < self.calm_after
            return False
        self.is_raised = is_bad
        return is_bad


@dataclass(slots=True)
class _Window:
    """The losses of two windows that follow each other; True once the newer is no lower."""

    length: int
    losses: deque[float] = field(default_factory=deque)

    def gain(self, loss: float) -> float | None:
        """Return by what share the newer half is lower, once per half; None in between."""
        self.losses.append(loss)
        if len(self.losses) < 2 * self.length:
            return None
        values = list(self.losses)
        older, newer = values[: self.length], values[self.length :]
        for _ in range(self.length):
            self.losses.popleft()
        before = statistics.fmean(older)
        if before <= 0:
            return None
        spread = statistics.stdev(older) / math.sqrt(self.length)
        # A gain that drowns in the noise of the windows is none.
        drop = before - statistics.fmean(newer)
        return 0.0 if drop <= spread else drop / before


class Detector:
    """Follows one attempt of a stage.

    Args:
        usual: "mfu" and "tok_per_sec" of earlier runs with the same settings on the same
            hardware; without them the beginning of this attempt is what is usual.
    """

    def __init__(self, rules: AlertRules, *, usual: Mapping[str, float] | None = None) -> None:
        self._rules = rules
        self._usual = usual or {}
        calm = rules.calm_steps
        self._not_finite, self._spiking = _Latch(calm), _Latch(calm)
        self._diverging, self._slow, self._flat = _Latch(calm), _Latch(calm), _Latch(1)
        self._first: list[float] = []
        self._recent: deque[float] = deque(maxlen=rules.recent_steps)
        self._logs: deque[float] = deque(maxlen=rules.spike_window)
        self._best = math.inf
        self._speeds: deque[float] = deque(maxlen=rules.recent_steps)
        self._early_speeds: list[float] = []
        self._window: _Window | None = None
        self._num_steps = 0

    def apply(self, record: EventRecord) -> list[Finding]:
        """Return what begins to be wrong with this record."""
        step = record.data.get("step")
        if not isinstance(step, int):
            return []
        if record.kind == "eval":
            bpb = number(record.data.get("val_bpb"))
            return list(self._finite({"val_bpb": bpb}, step)) if bpb is not None else []
        metrics = record.data.get("metrics")
        if record.kind != "step" or not isinstance(metrics, Mapping):
            return []
        values = {str(key): number(value) for key, value in metrics.items()}
        self._num_steps += 1
        return list(self._judge(values, step, number(record.data.get("total_steps"))))

    def _judge(
        self, values: Mapping[str, float | None], step: int, total: float | None
    ) -> Iterator[Finding]:
        yield from self._finite(values, step)
        loss = values.get("loss")
        if loss is not None and math.isfinite(loss):
            yield from self._spikes(loss, step)
            yield from self._diverges(loss, step)
            yield from self._stays(loss, step, total)
        name = "mfu" if values.get("mfu") else "tok_per_sec"
        speed = values.get(name)
        if speed is not None and math.isfinite(speed) and speed > 0:
            yield from self._slows(name, speed, step)

    def _finite(self, values: Mapping[str, float | None], step: int) -> Iterator[Finding]:
        bad = [
            key for key, value in values.items() if value is not None and not math.isfinite(value)
        ]
        if self._not_finite.begins(bool(bad), is_calm=not bad):
            which = ", ".join(f"{key} is {values[key]}" for key in bad)
            yield Finding(code="not-finite", severity="error", message=which, step=step)

    def _spikes(self, loss: float, step: int) -> Iterator[Finding]:
        if loss <= 0:
            return
        level = math.log(loss)
        if self._num_steps > WARMUP_STEPS and len(self._logs) >= WARMUP_STEPS:
            middle = statistics.median(self._logs)
            spread = statistics.median(abs(value - middle) for value in self._logs) / _MAD
            z = (level - middle) / max(spread, _MIN_SPREAD)
            is_high = level - middle > math.log(self._rules.spike_ratio)
            if self._spiking.begins(z > self._rules.spike_z and is_high, is_calm=z < 3.0):
                usual = math.exp(middle)
                message = f"loss jumps to {loss:.3f}, from about {usual:.3f} ({z:.0f} deviations)"
                yield Finding(code="spike", severity="warning", message=message, step=step)
        self._logs.append(level)

    def _diverges(self, loss: float, step: int) -> Iterator[Finding]:
        if len(self._first) < START_STEPS:
            self._first.append(loss)
        self._recent.append(loss)
        if len(self._recent) < self._rules.recent_steps:
            return
        level, start = statistics.median(self._recent), statistics.median(self._first)
        self._best = min(self._best, level)
        limit = self._rules.divergence_nats
        above_start, above_best = level - start, level - self._best
        is_bad = above_start > limit or above_best > limit
        is_calm = above_start < limit / 2 and above_best < limit / 2
        if self._diverging.begins(is_bad, is_calm=is_calm):
            since = (
                f"{start:.2f} at the start" if above_start > limit else f"{self._best:.2f} before"
            )
            message = f"loss is {level:.2f} and was {since}"
            yield Finding(code="divergence", severity="error", message=message, step=step)

    def _stays(self, loss: float, step: int, total: float | None) -> Iterator[Finding]:
        if self._window is None:
            share = total / 5 if total is not None and math.isfinite(total) else 0.0
            length = max(self._rules.plateau_steps, int(share))
            self._window = _Window(length)
        gain = self._window.gain(loss)
        if gain is None:
            return
        is_flat = gain < self._rules.plateau_share
        if self._flat.begins(is_flat, is_calm=not is_flat):
            message = f"loss has not fallen in the last {self._window.length} steps"
            yield Finding(code="plateau", severity="info", message=message, step=step)

    def _slows(self, name: str, speed: float, step: int) -> Iterator[Finding]:
        if self._num_steps <= WARMUP_STEPS:
            return
        if len(self._early_speeds) < self._rules.recent_steps:
            self._early_speeds.append(speed)
        self._speeds.append(speed)
        if len(self._speeds) < self._rules.recent_steps:
            return
        now = statistics.median(self._speeds)
        usual = self._usual.get(name) or statistics.median(self._early_speeds)
        share = now / usual
        is_calm = share > (1 + self._rules.mfu_share) / 2
        if self._slow.begins(share < self._rules.mfu_share, is_calm=is_calm):
            whose = "earlier runs like it had" if name in self._usual else "it had at first"
            what, form = ("MFU", ".1%") if name == "mfu" else ("tokens per second", ",.0f")
            message = f"{what} {now:{form}} is {share:.0%} of the {usual:{form}} that {whose}"
            yield Finding(code="mfu-drop", severity="warning", message=message, step=step)


def detect(
    records: Iterator[EventRecord], rules: AlertRules, *, usual: Mapping[str, float] | None = None
) -> Iterator[tuple[float, Finding]]:
    """Yield what is wrong in the log of one attempt, with the time of the event that shows it."""
    detector = Detector(rules, usual=usual)
    for record in records:
        for finding in detector.apply(record):
            yield record.t, finding

"""Timed passes over a batch of prompts: the plain engine's, and ours with any settings."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runs.errors import UsageError

if TYPE_CHECKING:
    from core.engine.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One pass over a batch; `ids` are the answers, for rows that ran to the end."""

    ttft_s: float
    steps_s: tuple[float, ...]
    ids: tuple[tuple[int, ...], ...]

    @property
    def tpot_s(self) -> float:
        """Median time of a step."""
        return statistics.median(self.steps_s)


def time_plain(plain: Any, prompts: Sequence[Sequence[int]], num_new: int) -> Timing:
    """Return what the plain engine took."""
    times_s, columns = [], []
    last_s = time.perf_counter()
    for column in plain.stream(prompts, num_new):
        now_s = time.perf_counter()
        times_s.append(now_s - last_s)
        last_s = now_s
        columns.append(column)
    ids = tuple(zip(*columns, strict=True))
    return Timing(ttft_s=times_s[0], steps_s=tuple(times_s[1:]), ids=ids)


def time_engine(
    engine: Engine, prompts: Sequence[Sequence[int]], num_new: int, **settings: Any
) -> Timing:
    """Return what our engine took for requests with these settings.

    Raises:
        UsageError: the answers end before a step in which every row runs.
    """
    from core.engine.request import Request
    from core.engine.scheduler import Scheduler
    from core.engine.slots import Slots

    # No prefix of an earlier round may help.
    engine.slots = Slots(engine.max_rows, has_reuse=False)
    scheduler = Scheduler(engine)
    answers: dict[int, list[int]] = {}
    steps_s = []
    last_s = time.perf_counter()
    for prompt in prompts:
        request = Request(prompt_ids=prompt, max_new_tokens=num_new, **settings)
        answers[scheduler.submit(request)] = []
    ttft_s = None
    while not scheduler.is_idle:
        tokens = scheduler.step()
        now_s = time.perf_counter()
        for token in tokens:
            answers[token.row].append(token.id)
        if ttft_s is None and all(answers.values()):
            ttft_s = now_s - last_s
            last_s = now_s
        elif ttft_s is not None:
            if len(tokens) == len(prompts):
                steps_s.append(now_s - last_s)
            last_s = now_s
    if ttft_s is None or not steps_s:
        raise UsageError("the model ends its answers at once; measure with random weights instead")
    return Timing(ttft_s=ttft_s, steps_s=tuple(steps_s), ids=tuple(map(tuple, answers.values())))

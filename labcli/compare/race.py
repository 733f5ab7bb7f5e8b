"""All columns at once: one batch per model, the models taking turns. Draws nothing.

Times are those of a model's own steps, so a second model does not make the first look slower;
the columns of one model share its steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labcli.compare.columns import Column
from labcli.speaking.prompting import prompt_of

if TYPE_CHECKING:
    from core.engine.scheduler import Scheduler
    from labcli.speaking.speaker import Speaker

MAX_ROWS = 16


@dataclass(slots=True, kw_only=True)
class _Lane:
    """One model at work; `columns` by ticket."""

    scheduler: Scheduler
    columns: dict[int, Column] = field(default_factory=dict)
    worked_s: float = 0.0


class Race:
    """The columns being answered; the caller steps until it is done, and closes it.

    Raises:
        UsageError: a prompt does not fit its model.
    """

    def __init__(
        self,
        speakers: Sequence[Speaker],
        columns: Sequence[Column],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        from core.engine.scheduler import Scheduler

        self._clock = clock
        self._columns = columns
        # Two references may share a model.
        self._lanes = {
            id(speaker): _Lane(scheduler=Scheduler(speaker.engine)) for speaker in speakers
        }
        for column in columns:
            choice = column.combination
            speaker = speakers[choice.model]
            room = speaker.engine.max_positions - choice.settings.max_new_tokens
            asked = prompt_of(speaker, [{"role": "user", "content": choice.prompt}], room)
            column.prompt_ids = asked.prompt_ids
            request = choice.settings.request(asked.prompt_ids, draw=0, has_probes=True)
            lane = self._lanes[id(speaker)]
            lane.columns[lane.scheduler.submit(request)] = column

    @property
    def is_done(self) -> bool:
        """Whether every column is complete."""
        return all(lane.scheduler.is_idle for lane in self._lanes.values())

    def step(self) -> None:
        """Move every model on by one step."""
        for lane in self._lanes.values():
            if lane.scheduler.is_idle:
                continue
            began_s = self._clock()
            tokens = lane.scheduler.step()
            lane.worked_s += self._clock() - began_s
            for token in tokens:
                lane.columns[token.row].take(token, lane.worked_s)

    def close(self) -> None:
        """Free the rows; columns that are not complete count as interrupted."""
        for lane in self._lanes.values():
            lane.scheduler.close()
        for column in self._columns:
            column.interrupt()

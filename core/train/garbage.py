"""Python's collector of cyclic garbage during training: rarely, and between steps.

A full collection looks at every object of torch and its compiler, for half a second (measured: 0.5
to 0.7 s, and nothing once they are frozen), in the middle of a step and on each rank at another
time, so that all ranks wait for each.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

from core.train.allocator import release_garbage
from runs.events import Eval, Event, Step

STEPS_BETWEEN = 5000


def collecting_rarely(events: Iterator[Event]) -> Iterator[Event]:
    """Pass on the events of a training; with its end the collector works as before.

    What the first step has made stays to the end, and is no longer looked at. Garbage is collected
    after measurements, which make most of it, and every few thousand steps.
    """
    was_enabled = gc.isenabled()
    num_steps = 0
    try:
        for event in events:
            yield event
            if isinstance(event, Step):
                num_steps += 1
                if num_steps == 1:
                    release_garbage()
                    gc.freeze()
                    gc.disable()
            is_due = isinstance(event, Step) and num_steps % STEPS_BETWEEN == 0
            if is_due or isinstance(event, Eval):
                gc.collect()
    finally:
        if num_steps:
            gc.unfreeze()
        if was_enabled:
            gc.enable()

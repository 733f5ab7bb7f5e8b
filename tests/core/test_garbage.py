"""The collector of garbage is quiet between steps, works after measurements, and comes back."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from core.train.garbage import STEPS_BETWEEN, collecting_rarely
from runs.errors import StageFailed
from runs.events import Eval, Event, Step


class Knot:
    """Something that only the collector can free."""

    def __init__(self) -> None:
        self.itself = self


def step(number: int) -> Step:
    return Step(step=number, total_steps=10, metrics={})


@pytest.fixture(autouse=True)
def enabled() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_after_the_first_step_the_collector_is_off_until_training_ends() -> None:
    states = [gc.isenabled() for _ in collecting_rarely(iter([step(1), step(2), step(3)]))]
    assert states == [True, False, False]
    assert gc.isenabled() and gc.get_freeze_count() == 0


@pytest.mark.parametrize(
    "later", [[Eval(step=1, val_bpb=1.0, val_sha256="v")], [step(n) for n in range(STEPS_BETWEEN)]]
)
def test_garbage_goes_after_a_measurement_and_after_many_steps(later: list[Event]) -> None:
    events = collecting_rarely(iter([step(1), step(2), *later, step(3)]))
    next(events)
    next(events)
    kept = weakref.ref(Knot())
    assert kept() is not None
    for _ in events:
        pass
    assert kept() is None


def test_a_training_that_fails_leaves_the_collector_on() -> None:
    def failing() -> Iterator[Event]:
        yield step(1)
        raise StageFailed("no more")

    with pytest.raises(StageFailed):
        list(collecting_rarely(failing()))
    assert gc.isenabled() and gc.get_freeze_count() == 0

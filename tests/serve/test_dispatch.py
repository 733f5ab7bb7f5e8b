"""Where a job goes, decided from what the workers hold: no process, no clock."""

from __future__ import annotations

from core.serve.dispatch import (
    Decision,
    Load,
    Seat,
    SeatState,
    Slot,
    SlotState,
    Submit,
    Wait,
    decide,
)


def seat(
    index: int, *slots: tuple[str, int], state: SeatState = "ready", slot_state: SlotState = "ready"
) -> Seat:
    """Return a worker with models and their running jobs, the least recently used first."""
    return Seat(
        index=index,
        device="cpu",
        state=state,
        slots={
            name: Slot(state=slot_state, used_s=float(order), num_running=running)
            for order, (name, running) in enumerate(slots)
        },
    )


def ask(*seats: Seat, draining: frozenset[tuple[int, str]] = frozenset()) -> Decision:
    """Return where a job of model "m" goes; two models and four rows are the most."""
    return decide("m", seats, set(draining), max_models=2, max_rows=4)


def test_a_job_goes_to_the_least_loaded_worker_that_has_its_model() -> None:
    assert ask(seat(0, ("m", 2)), seat(1, ("m", 1)), seat(2, ("x", 0), ("y", 0))) == Submit(seat=1)


def test_jobs_of_other_models_count_as_load() -> None:
    assert ask(seat(0, ("m", 0), ("x", 3)), seat(1, ("m", 1))) == Submit(seat=1)


def test_an_idle_worker_loads_a_model_that_is_in_demand_elsewhere() -> None:
    assert ask(seat(0, ("m", 1)), seat(1)) == Submit(seat=0, spread_to=1)
    assert ask(seat(0, ("m", 0)), seat(1)) == Submit(seat=0)


def test_a_model_that_nobody_has_is_loaded_where_there_is_room() -> None:
    assert ask(seat(0, ("x", 1)), seat(1, ("y", 0))) == Load(seat=1)
    assert ask(seat(0, ("x", 1), ("y", 0)), seat(1, ("z", 3))) == Load(seat=1)


def test_a_model_is_loaded_once_for_the_jobs_that_wait() -> None:
    assert ask(seat(0, ("m", 0), slot_state="loading"), seat(1)) == Wait()


def test_the_least_recently_used_idle_model_makes_room() -> None:
    assert ask(seat(0, ("x", 1), ("y", 0))) == Load(seat=0, evict="y")
    assert ask(seat(0, ("x", 0), ("y", 0))) == Load(seat=0, evict="x")


def test_busy_models_are_drained_one_at_a_time() -> None:
    assert ask(seat(0, ("x", 1), ("y", 2))) == Wait(drain=(0, "x"))


def test_a_draining_model_gets_no_more_jobs() -> None:
    held = seat(0, ("m", 1), ("x", 1))
    assert ask(held) == Submit(seat=0)
    assert ask(held, draining=frozenset({(0, "m")})) == Wait()


def test_full_rows_are_waited_for() -> None:
    assert ask(seat(0, ("m", 4), ("x", 0))) == Wait()


def test_workers_that_are_not_up_get_nothing() -> None:
    assert ask(seat(0, state="starting"), seat(1, state="down"), seat(2, state="failed")) == Wait()

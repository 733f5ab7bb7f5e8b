"""Limits on cost: counted from the logs, kept by the supervisor, raised by a resume."""

from __future__ import annotations

import pytest

from runs.errors import UsageError
from runs.log import LogRecord
from runs.paths import LabHome
from runs.record import load_record
from runs.scheduling.budget import Budget, raise_budget, run_budget
from runs.scheduling.sweep import Sweep, Variant, write_sweep
from runs.supervision.requests import resume
from runs.views.cost import Worked, add_records, worked_s
from runs.views.query import load_run
from tests.cli.conftest import Labcli
from tests.runs.builders import make_run, start, wait_for_state

SLOW = {"base": {"steps": 400, "step_s": 0.05}}
# About half a second at work.
TINY = {"max_hours": 0.5 / 3600}


def records(*pairs: tuple[float, str]) -> list[LogRecord]:
    return [LogRecord(t=t, kind=kind, data={}) for t, kind in pairs]


def test_time_at_work_leaves_out_what_lies_between_the_stages() -> None:
    log = records((0, "supervisor"), (1, "launch"), (5, "exit"), (9, "launch"), (11, "exit"))
    assert add_records(Worked(), log).until(100.0) == 6.0


def test_attempt_whose_end_nobody_saw_counts_until_it_was_last_heard() -> None:
    log = records((0, "launch"), (4, "heartbeat"), (50, "supervisor"), (60, "launch"))
    assert add_records(Worked(), log[:2]).until(None) == 4.0
    assert add_records(Worked(), log).until(70.0) == 60.0


def test_stage_at_work_counts_until_now() -> None:
    assert add_records(Worked(), records((10, "launch"))).until(25.0) == 15.0


def test_dollars_are_hours_times_price() -> None:
    budget = Budget(max_usd=5.0, usd_per_hour=2.5)
    assert budget.usd(3600) == 2.5
    assert budget.exceeded(7199) is None
    assert budget.exceeded(7200) == "$5.00 of $5.00 are spent"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_usd": 5.0}, "add --usd-per-hour"),
        ({"max_hours": 0.0}, "--max-hours must be above 0"),
        ({"max_hours": float("nan")}, "--max-hours must be above 0"),
    ],
)
def test_budget_that_cannot_be_kept_is_refused(limits: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Budget(**limits)


def test_run_over_budget_checkpoints_and_goes_on_with_a_higher_one(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {"steps": 80, "step_s": 0.05}}, budget=TINY))
    view = wait_for_state(paths, "budget")
    assert view.stages[0].state == "budget"
    assert "0.5" in (view.problem or "") or "hours are used" in (view.problem or "")
    reached = view.stages[0].step or 0
    assert 0 < reached < 80
    now = run_budget(paths.run_dir, load_record(paths.run_dir))
    with pytest.raises(UsageError, match="give a higher one"):
        raise_budget(paths.requests, now, Budget(max_hours=1e-6), worked_s(paths.run_dir))
    raise_budget(paths.requests, now, Budget(max_hours=1.0), worked_s(paths.run_dir))
    resume(paths.run_dir)
    done = wait_for_state(paths, "finished")
    assert done.stages[0].resumed_from == reached
    assert (done.worked_s or 0.0) > (view.worked_s or 0.0) > 0.5


def test_runs_of_a_sweep_share_its_budget_and_start_nothing_beyond_it(home: LabHome) -> None:
    first = make_run(home, SLOW, sweep={"id": "0" * 26, "index": 1})
    second = make_run(home, SLOW, sweep={"id": "0" * 26, "name": "s", "index": 2})
    variants = tuple(
        Variant(index=index, run_id=paths.run_dir.name[:26], changed={}, plan={})
        for index, paths in enumerate((first, second), 1)
    )
    sweep = Sweep(
        sweep_id="0" * 26, slug="s", name="s", what="base", preset="cpu", created_s=0.0, argv=(),
        variants=variants, budget=TINY,
    )  # fmt: skip
    write_sweep(home, sweep)
    wait_for_state(start(first), "budget")
    wait_for_state(start(second), "budget")
    assert load_run(second.run_dir).stages[0].state == "pending"
    problem = load_run(second.run_dir).problem or ""
    assert problem.startswith("the budget of its sweep")
    assert "labcli sweep resume s --max-usd" in problem


def test_max_usd_without_a_price_is_refused_before_anything_is_made(
    labcli: Labcli, home: LabHome
) -> None:
    result = labcli("run", "speedrun", "--preset", "cpu", "--max-usd", "1", "--dry-run")
    price = labcli("run", "speedrun", "--dry-run", "--json").out
    assert '"usd_per_hour"' in price
    if '"usd_per_hour": null' in price:
        assert (result.code, result.out) == (2, "")
        assert "add --usd-per-hour" in result.err
    assert not home.root.exists()

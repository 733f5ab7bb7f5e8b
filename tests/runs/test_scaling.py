"""Scaling laws on simulated runs: the numbers that made them come back, with honest intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runs.analysis.forecast import forecast
from runs.analysis.isoflop import parabolas, size_law
from runs.analysis.power_law import fit
from runs.analysis.scaling_fit import parse_target, price, require_something, scaling_fit
from runs.analysis.scaling_points import ScalingPoint, frontier, scaling_data
from runs.errors import NotFound, UsageError
from runs.paths import LabHome
from runs.views.card import RunCard
from tests.builders import OTHER_VAL_TEXT
from tests.runs.curves import TOKENS_PER_STEP, card, train

FLOOR, SCALE, EXPONENT, UNIT = 0.7, 0.5, 0.3, 1e10


def law(flops: float) -> float:
    return FLOOR + SCALE * (flops / UNIT) ** -EXPONENT


def point(params: float, flops: float, loss: float) -> ScalingPoint:
    return ScalingPoint(
        names=("a",), params=params, tokens=1.0, flops=flops, train_s=1.0, steps=1, loss=loss
    )


def lab_of(home: LabHome, sizes: list[float], **more: object) -> list[RunCard]:
    """Return runs of 40 steps whose bits per byte follow the law of their FLOPs."""
    cards = []
    for size in sizes:
        flops = 6 * size * TOKENS_PER_STEP * 40
        given = {"losses": [3.0] * 40, "bpbs": {40: law(flops)}, "params": size, **more}
        cards.append(card(train(home, f"n{size:.0f}", **given)))  # type: ignore[arg-type]
    return cards


def test_law_without_noise_is_recovered() -> None:
    x = np.geomspace(1e9, 1e14, 12)
    found = fit(x, [law(flops) for flops in x])
    assert found.floor.value == pytest.approx(FLOOR, abs=2e-3)
    assert found.exponent.value == pytest.approx(EXPONENT, abs=5e-3)
    assert found.predict(1e16).value == pytest.approx(law(1e16), abs=5e-3)
    assert found.reach(law(1e15)).value == pytest.approx(1e15, rel=0.1)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    x = np.geomspace(1e9, 1e12, 8)
    truth = np.array([law(flops) for flops in x])
    covered = np.zeros(3)
    rounds = 40
    for seed in range(rounds):
        found = fit(x, truth + rng.normal(0, 0.01, len(x)), num_draws=150, seed=seed)
        ahead, new = found.predict(1e13), law(1e13) + rng.normal(0, 0.01)
        for i, (part, true) in enumerate(
            ((found.floor, FLOOR), (found.exponent, EXPONENT), (ahead, new))
        ):
            covered[i] += float(part.low or 0) <= true <= float(part.high or 0)
    assert (covered / rounds >= 0.85).all()
    assert (covered / rounds).mean() <= 0.99


def test_level_below_the_floor_is_never_reached() -> None:
    found = fit([1, 2, 4, 8, 16], [3, 2.5, 2.25, 2.125, 2.0625])
    assert found.reach(1.9).value is None
    assert found.share_reaching(1.9) < 0.5
    assert found.share_reaching(2.9) == 1.0


def test_law_needs_four_budgets() -> None:
    with pytest.raises(ValueError, match="4 different x"):
        fit([1, 2, 2, 3], [3, 2, 2, 1])


def test_best_size_of_each_budget_and_its_growth_come_back() -> None:
    rng = np.random.default_rng(1)
    points = [
        point(size, flops, 3 + 0.05 * np.log(size / (0.1 * flops**0.5)) ** 2 + rng.normal(0, 0.003))
        for flops in (1e15, 1e16, 1e17)
        for size in 0.1 * flops**0.5 * np.array([0.25, 0.5, 1, 2, 4])
    ]
    found = parabolas(points)
    assert [one.best_size.value for one in found if one.best_size] == pytest.approx(
        [0.1 * flops**0.5 for flops in (1e15, 1e16, 1e17)], rel=0.15
    )
    sizes = size_law(found)
    assert sizes is not None
    assert sizes.exponent.value == pytest.approx(0.5, abs=0.05)
    assert sizes.size_at(1e18) == pytest.approx(1e8, rel=0.4)


def test_budget_without_a_minimum_says_why() -> None:
    two = [point(1e6, 1e15, 3.0), point(2e6, 1.1e15, 2.9)]
    bent_down = [point(size, 1e17, loss) for size, loss in ((1e6, 3.0), (2e6, 3.5), (4e6, 3.0))]
    falling = [point(size, 1e19, loss) for size, loss in ((1e6, 3.0), (2e6, 2.4), (4e6, 2.2))]
    problems = [one.problem for one in parabolas([*two, *bent_down, *falling])]
    assert problems == [
        "2 model sizes; a parabola needs 3",
        "the loss has no minimum between these sizes",
        "the minimum lies outside these sizes",
    ]


def test_only_finished_runs_on_the_commonest_text_make_points(tmp_path: Path) -> None:
    home = LabHome(tmp_path)
    runs = lab_of(home, [1e5, 2e5])
    runs += lab_of(home, [1e5], settings={"seed": 2})
    runs += lab_of(home, [4e5], val_sha256=OTHER_VAL_TEXT)
    runs += lab_of(home, [8e5], is_finished=False)
    runs.append(card(train(home, "no eval", [3.0])))
    data = scaling_data(runs, "base", "val_bpb")
    assert [(found.params, found.num_runs) for found in data.points] == [(1e5, 2), (2e5, 1)]
    assert data.left_out == (
        "1 measured on another validation text", "1 without val_bpb, FLOPs or a model size",
    )  # fmt: skip


def test_frontier_leaves_out_what_a_cheaper_run_beats(tmp_path: Path) -> None:
    runs = lab_of(LabHome(tmp_path), [1e5, 4e5])
    runs.append(card(train(LabHome(tmp_path), "bad", [3.0] * 40, bpbs={40: 5.0}, params=2e5)))
    data = scaling_data(runs, "base", "val_bpb")
    assert [found.params for found in frontier(data)] == [1e5, 4e5]


def test_lab_that_follows_a_law_gives_it_back_with_a_price(tmp_path: Path) -> None:
    runs = lab_of(LabHome(tmp_path), [1e4, 1e5, 1e6, 1e7, 1e8])
    found = scaling_fit(runs, "base", "val_bpb")
    assert found.law is not None
    assert found.law.exponent.value == pytest.approx(EXPONENT, abs=0.01)
    goal = law(1e15)
    cost = price(found, parse_target(f"{goal}", "val_bpb"), rate=3.6)
    assert cost is not None and cost.usd is not None
    assert cost.flops.value == pytest.approx(1e15, rel=0.2)
    fastest = 6 * 1e8 * TOKENS_PER_STEP / 2.0
    assert cost.time_s.value == pytest.approx(float(cost.flops.value or 0) / fastest)
    assert cost.usd.value == pytest.approx(float(cost.time_s.value or 0) / 1000)


def test_too_few_runs_say_what_is_there_and_what_is_needed(tmp_path: Path) -> None:
    found = scaling_fit(lab_of(LabHome(tmp_path), [1e5, 1e6]), "base", "val_bpb")
    with pytest.raises(NotFound, match=r"2 finished runs .* give 2 points .* need 4"):
        require_something(found)


def test_run_in_progress_is_projected_to_its_end_and_to_a_target(tmp_path: Path) -> None:
    bpbs = {step: 1 + 2 * step**-0.5 for step in range(10, 101, 10)}
    run = card(
        train(
            LabHome(tmp_path),
            "going",
            [3.0] * 100,
            bpbs=bpbs,
            total=400,
            is_finished=False,
            usd_per_hour=3.6,
        )
    )
    found = forecast(run, "base", "val_bpb", level=1.1)
    assert (found.last_step, found.planned_steps) == (100, 400)
    assert found.final_loss is not None and found.crossing is not None
    assert found.final_loss.value == pytest.approx(1.1, abs=0.005)
    assert found.planned_flops == pytest.approx(6e6 * TOKENS_PER_STEP * 400)
    assert found.crossing.step.value == pytest.approx(400, rel=0.05)
    assert found.crossing.time_s is not None and found.crossing.usd is not None
    assert found.crossing.time_s.value == pytest.approx(600, rel=0.08)
    assert found.crossing.usd.value == pytest.approx(0.6, rel=0.08)


def test_noisy_curve_of_many_steps_is_projected_with_an_interval(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    losses = [2 + 4 * step**-0.4 + rng.normal(0, 0.05) for step in range(1, 601)]
    run = card(train(LabHome(tmp_path), "noisy", losses, total=2400, is_finished=False))
    found = forecast(run, "base", "loss")
    assert found.final_loss is not None and found.num_points <= 16
    truth = 2 + 4 * 2400**-0.4
    assert float(found.final_loss.low or 0) < truth < float(found.final_loss.high or 0)


def test_run_with_too_few_values_is_not_projected(tmp_path: Path) -> None:
    run = card(train(LabHome(tmp_path), "new", [3.0] * 30, bpbs={10: 2.0, 20: 1.5}))
    with pytest.raises(NotFound, match=r"has 2 values of val_bpb .* needs 4"):
        forecast(run, "base", "val_bpb")


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [("val_bpb=0.9", "val_bpb", 0.9), ("0.8", "loss", 0.8), ("gpt2", "core_metric", 0.2565)],
)
def test_target_is_read(text: str, metric: str, value: float) -> None:
    found = parse_target(text, "loss")
    assert (found.metric, found.value) == (metric, value)


def test_score_to_be_met_becomes_a_loss() -> None:
    assert parse_target("gpt2", "loss").loss == pytest.approx(1 - 0.2565)
    with pytest.raises(UsageError, match="'soon' is no target"):
        parse_target("soon", "loss")

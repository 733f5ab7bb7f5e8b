"""Comparing runs: speed-up at equal quality, the noise of seeds, and where curves part."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from runs.analysis.comparison import compare
from runs.analysis.noise import NoiseFloor, judge, noise_floor
from runs.analysis.parting import find_parting
from runs.analysis.repeat import repeat_command
from runs.analysis.seed_groups import seed_groups
from runs.analysis.speedup import monotone_slopes, reach, speedup
from runs.errors import NotFound
from runs.metrics.run_curve import RunCurve, run_curve
from runs.paths import LabHome
from runs.statistics import student_quantile
from runs.views.card import RunCard
from tests.builders import OTHER_VAL_TEXT
from tests.runs.curves import card, train


@pytest.fixture
def home(tmp_path: Path) -> LabHome:
    return LabHome(tmp_path / "home")


def bpb(num: int, rate: float = 1.0, shift: float = 0.0, every: int = 10) -> dict[int, float]:
    """Return bits per byte that fall as 1 + 1/sqrt(rate * step)."""
    steps = range(every, num + 1, every)
    return {step: 1 + shift + 1 / math.sqrt(rate * step) for step in steps}


def trained(
    home: LabHome,
    name: str,
    num: int = 100,
    *,
    shift: float = 0.0,
    rate: float = 1.0,
    **more: object,
) -> RunCard:
    losses = [3.0 - 0.01 * step for step in range(num)]
    found = {"losses": losses, "bpbs": bpb(num, rate, shift), **more}
    return card(train(home, name, **found))  # type: ignore[arg-type]


def curve(values: np.ndarray, name: str = "a") -> RunCurve:
    steps = np.arange(1, len(values) + 1, dtype=np.float64)
    return RunCurve(name=name, stage="base", metric="loss", values=values, x={"step": steps})


def test_run_that_learns_twice_as_fast_needs_half_of_everything(home: LabHome) -> None:
    slow = trained(home, "slow")
    fast = trained(home, "fast", rate=2.0, step_s=4.0, usd_per_hour=3.6)
    found = compare([slow, fast], [slow, fast], usd_per_hour=3.6)
    shares = found.pairs[0].forward.shares
    assert set(shares) == {"step", "tokens", "time", "flops", "usd"}
    for axis in ("step", "tokens", "flops"):
        assert shares[axis].share == pytest.approx(0.5, abs=0.01)
    assert shares["time"].share == pytest.approx(1.0, abs=0.02)
    assert shares["usd"].spent == pytest.approx(0.2, abs=0.01)


def test_run_that_never_gets_there_has_no_share_but_the_way_back(home: LabHome) -> None:
    good, bad = trained(home, "good"), trained(home, "bad", shift=0.05)
    pair = compare([good, bad], [good, bad]).pairs[0]
    assert not pair.forward.is_reached
    assert pair.backward.shares["step"].share < 1


def test_values_are_aligned_where_the_shorter_run_ends(home: LabHome) -> None:
    short, long = trained(home, "short", 50), trained(home, "long", 100, step_s=1.0)
    by_step = compare([short, long], [], axis="step")
    assert by_step.common_x == 50
    assert by_step.standings[1].at_common == pytest.approx(1 + 1 / math.sqrt(50))
    by_time = compare([short, long], [], axis="time")
    assert by_time.standings[1].at_common == pytest.approx(1 + 1 / math.sqrt(100))


def test_figures_over_different_texts_are_not_compared(home: LabHome) -> None:
    a, b = trained(home, "a"), trained(home, "b", val_sha256=OTHER_VAL_TEXT)
    found = compare([a, b], [a, b])
    assert found.pairs == ()
    assert "validation texts" in str(found.problem)


def test_missing_metric_axis_or_rate_is_named(home: LabHome) -> None:
    a, b = trained(home, "a"), trained(home, "b")
    with pytest.raises(NotFound, match="share no 'los' in any stage; closest: 'loss'"):
        compare([a, b], [], metric="los")
    with pytest.raises(NotFound, match="did not record usd in base; name a rate"):
        compare([a, b], [], axis="usd")
    with pytest.raises(NotFound, match="has measured nothing yet"):
        compare([a, card(train(home, "c"))], [])


def test_seed_groups_hold_runs_that_differ_by_seed_alone(home: LabHome) -> None:
    runs = [
        trained(home, "s1", shift=0.00, settings={"seed": 1, "save_every": 5}),
        trained(home, "s2", shift=0.01, settings={"seed": 2, "save_every": 9}),
        trained(home, "again", shift=0.5, settings={"seed": 2, "save_every": 9}),
        trained(home, "s3", shift=0.02, settings={"seed": 3, "save_every": 5}, is_finished=False),
        trained(home, "lr", settings={"seed": 1, "save_every": 5, "matrix_lr": 0.5}),
        trained(home, "text", settings={"seed": 4, "save_every": 5}, val_sha256=OTHER_VAL_TEXT),
    ]
    groups = seed_groups(runs, "base", "val_bpb")
    assert [[sample.name for sample in group.samples] for group in groups] == [["s1", "s2"]]
    floor = noise_floor(groups, [runs[4].view.run_id])
    assert floor is not None
    assert (floor.groups, floor.degrees, floor.is_own) == ((2,), 1, False)
    assert floor.sd == pytest.approx(0.01 / math.sqrt(2))


def test_difference_within_the_noise_is_not_evidence(home: LabHome) -> None:
    base = [trained(home, f"s{i}", shift=0.01 * i, settings={"seed": i}) for i in range(4)]
    near = trained(home, "near", shift=0.02, settings={"matrix_lr": 0.03})
    far = trained(home, "far", shift=-0.5, settings={"matrix_lr": 0.04})
    found = compare([base[0], near, far, base[1]], [*base, near, far])
    words = [pair.verdict.word for pair in found.pairs]
    assert words == ["not evidence", "better", "same settings"]
    verdict = found.pairs[0].verdict
    sd = np.std([0.0, 0.01, 0.02, 0.03], ddof=1)
    error = sd * math.sqrt(1 + 1 / 4)
    assert verdict.difference == pytest.approx(0.005)
    assert verdict.sigmas == pytest.approx(0.005 / error)
    assert verdict.ci_high == pytest.approx(0.005 + student_quantile(3) * error)
    assert found.pairs[2].verdict.difference == pytest.approx(0.01)


def test_without_a_repetition_the_command_for_one_is_given(home: LabHome) -> None:
    words = ("labcli", "--home", "/x", "run", "base", "--name", "a", "--set", "base.depth=2")
    a = trained(home, "a", argv=(*words, "--from=last:tok", "--json"))
    b = trained(home, "b", settings={"matrix_lr": 1.0})
    assert compare([a, b], [a, b]).pairs[0].verdict.word == "no noise floor"
    other = trained(home, "c", settings={"seed": 45})
    assert repeat_command(a, [a, b, other], "base") == (
        "labcli run base --set base.depth=2 --from=last:tok --set base.seed=46"
    )


def test_verdict_keeps_its_level_on_simulated_noise() -> None:
    rng = np.random.default_rng(3)
    false_alarms = 0
    for _ in range(400):
        seeds = rng.normal(1.0, 0.01, 3).tolist()
        floor = NoiseFloor(
            sd=float(np.std(seeds, ddof=1)), degrees=2, groups=(3,), is_own=True, is_one_commit=True
        )
        false_alarms += judge(seeds, rng.normal(1.0, 0.01, 1).tolist(), floor).is_evidence
    assert 0.02 <= false_alarms / 400 <= 0.09


def test_reach_never_overshoots_the_points_between() -> None:
    x, y = np.array([0.0, 1.0, 2.0, 10.0]), np.array([4.0, 2.0, 1.9, 1.0])
    at = [reach(x, y, level) for level in np.linspace(4.0, 1.0, 50)]
    assert at == sorted(at)  # type: ignore[type-var]
    assert (at[0], at[-1]) == (0.0, 10.0)
    assert reach(x, y, 2.0) == pytest.approx(1.0)
    assert reach(x, y, 0.9) is None
    assert (monotone_slopes(x, y) <= 0).all()


def test_speedup_of_a_score_looks_upwards() -> None:
    rising = np.array([0.1, 0.2, 0.3, 0.4])
    found = speedup(curve(rising), curve(rising * 2), is_higher_better=True)
    assert found.level == pytest.approx(0.4)
    assert found.shares["step"].share == pytest.approx(0.5)


def test_curves_part_where_they_were_made_to_part() -> None:
    rng = np.random.default_rng(0)
    batch = rng.normal(0, 0.3, 400)
    falling = 3 + 2 / np.sqrt(np.arange(1, 401))
    a = falling + batch + rng.normal(0, 0.01, 400)
    b = falling + batch + rng.normal(0, 0.01, 400) + np.where(np.arange(400) >= 200, 0.05, 0.0)
    found = find_parting(curve(a), curve(b))
    assert found is not None and found.step is not None
    assert 190 <= found.step <= 206
    assert found.final_difference == pytest.approx(0.05, abs=0.01)


def test_equal_curves_are_equal_up_to_the_step_that_differs() -> None:
    a = 3 + np.random.default_rng(1).normal(0, 0.1, 100)
    b = a.copy()
    assert find_parting(curve(a), curve(b)).same_until == 100  # type: ignore[union-attr]
    b[60:] += 0.2
    found = find_parting(curve(a), curve(b))
    assert found is not None
    assert found.same_until == 60
    assert found.step is not None and 55 <= found.step <= 61


def test_curves_of_pure_noise_rarely_part() -> None:
    rng = np.random.default_rng(2)
    parted = 0
    for _ in range(100):
        found = find_parting(curve(rng.normal(0, 1, 300)), curve(rng.normal(0, 1, 300)))
        parted += found is not None and found.step is not None
    assert parted <= 5


def test_seed_noise_raises_the_bar_for_a_parting() -> None:
    a = np.zeros(100)
    b = np.full(100, 0.05)
    assert find_parting(curve(a), curve(b)).step == 1  # type: ignore[union-attr]
    assert find_parting(curve(a), curve(b), floor=0.1).step is None  # type: ignore[union-attr]
    b[0] = 0.0
    assert find_parting(curve(a), curve(b)).step == 2  # type: ignore[union-attr]
    assert find_parting(curve(a[:5]), curve(b[:5])) is None


def test_run_curve_leaves_out_what_is_no_number(home: LabHome) -> None:
    run = card(train(home, "a", [3.0, float("nan"), 2.0, float("inf")]))
    found = run_curve(run, "base", "loss")
    assert found is not None
    assert found.values.tolist() == [3.0, 2.0]
    assert found.x["step"].tolist() == [1.0, 3.0]

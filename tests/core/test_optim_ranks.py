"""The optimizer on several ranks: real processes over gloo, and a tiny model.

Tolerance: ranks add float32 gradients in another order, which changes their last bits. A step of
Muon or AdamW does not depend on the size of a gradient, so the relative error of an update is that
of the gradient, a few times 1e-7: after four steps weights agree to 1e-5. Left out are the few
elements whose gradient is itself nothing but such an error, for which AdamW or the cautious decay
takes another sign: at most one of 20 in a tensor.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from core.scaling import moment_bytes
from tests.core import optimize_on_ranks
from tests.core.builders import tiny_config
from tests.core.forked import free_port, start_ranks, wait_for_ranks

TOLERANCE = 1e-5
CLIPPED = {"config": {"optimizer": "classic", "grad_clip": 0.01}, "weight_decay": 0.0}
# In the order in which they are done: name, ranks, what is not the same as in the others.
JOBS: list[tuple[str, int, dict[str, Any]]] = [
    ("one", 1, {}),
    ("one-half", 1, {"last": 2}),
    ("two", 2, {}),
    ("two-half", 2, {"last": 2}),
    ("two-then-one", 1, {"first": 2, "resume": "two-half"}),
    ("one-then-two", 2, {"first": 2, "resume": "one-half"}),
    ("two-then-two", 2, {"first": 2, "resume": "two-half"}),
    ("two-then-four", 4, {"first": 2, "resume": "two-half"}),
    ("three", 3, {}),
    ("four", 4, {}),
    ("one-clipped", 1, CLIPPED),
    ("two-clipped", 2, CLIPPED),
    ("two-spoilt", 2, {"bad_before": 2}),
    ("three-spoilt", 3, {"bad_before": 0}),
    ("two-clipped-spoilt", 2, {**CLIPPED, "bad_before": 3}),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the ranks of a job left, by rank."""

    norms: list[list[float]]
    state_bytes: list[int]
    weights: list[dict[str, Tensor]]
    state: dict[str, Tensor]


def described(root: Path, name: str, world_size: int, job: dict[str, Any]) -> dict[str, Any]:
    resume = job.get("resume")
    (root / name).mkdir()
    return {
        "first": 0, "last": 4, "config": {}, "weight_decay": 0.1, "bad_before": None, **job,
        "out": str(root / name), "world_size": world_size, "port": free_port(),
        "resume": resume and str(root / resume / "step_000002"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Do all jobs in four processes."""
    root = tmp_path_factory.mktemp("ranks")
    jobs = [described(root, *job) for job in JOBS]
    codes = wait_for_ranks(start_ranks(optimize_on_ranks.main, jobs, ranks=4, errors=root))
    assert codes == [0] * 4, "".join(path.read_text() for path in root.glob("stderr.*.txt"))
    return {name: outcome(root / name, world_size) for name, world_size, _ in JOBS}


def outcome(out: Path, world_size: int) -> Outcome:
    told = [json.loads((out / f"rank{rank}.json").read_text()) for rank in range(world_size)]
    (state,) = out.glob("step_*/optimizer/state.safetensors")
    return Outcome(
        norms=[one["norms"] for one in told],
        state_bytes=[one["state_bytes"] for one in told],
        weights=[load_file(out / f"weights{rank}.safetensors") for rank in range(world_size)],
        state=load_file(state),
    )


def largest_difference(
    a: dict[str, Tensor], b: dict[str, Tensor], *, quantile: float = 1.0
) -> float:
    """Return the largest difference between weights, or that quantile of the worst tensor's."""
    assert a.keys() == b.keys()
    differences = [(a[name] - b[name]).abs().flatten() for name in a]
    return max(float(one.quantile(quantile, interpolation="lower")) for one in differences)


def assert_agree(a: Outcome, b: Outcome) -> None:
    assert largest_difference(a.weights[0], b.weights[0], quantile=0.95) < TOLERANCE
    assert a.norms[0] == pytest.approx(b.norms[0][-len(a.norms[0]) :], rel=1e-5)


@pytest.mark.parametrize("name", ["two", "three", "four"])
def test_several_ranks_make_the_steps_that_one_makes(
    outcomes: dict[str, Outcome], name: str
) -> None:
    assert_agree(outcomes[name], outcomes["one"])


@pytest.mark.parametrize("name", ["two", "three", "four", "two-then-four"])
def test_all_ranks_have_the_same_weights_and_norms_to_the_bit(
    outcomes: dict[str, Outcome], name: str
) -> None:
    first, *others = outcomes[name].weights
    assert others
    assert [largest_difference(other, first) for other in others] == [0.0] * len(others)
    assert all(norms == outcomes[name].norms[0] for norms in outcomes[name].norms)


@pytest.mark.parametrize(("name", "world_size"), [("two", 2), ("four", 4)])
def test_the_state_is_dealt_and_not_copied(
    outcomes: dict[str, Outcome], name: str, world_size: int
) -> None:
    whole, parts = outcomes["one"].state_bytes[0], outcomes[name].state_bytes
    # What is small is on every rank.
    assert sum(parts) < 1.02 * whole
    # Whole matrices: of the three of a shape, two ranks have two and one, four one or none.
    assert max(parts) < 1.25 * whole / world_size


@pytest.mark.parametrize("name", ["one", "two", "three", "four"])
def test_a_plan_counts_the_moments_that_the_first_rank_holds(
    outcomes: dict[str, Outcome], name: str
) -> None:
    parts = outcomes[name].state_bytes
    planned = moment_bytes(tiny_config(num_layers=3), num_ranks=len(parts))
    assert planned == parts[0] == max(parts)


@pytest.mark.parametrize("name", ["two-then-one", "one-then-two", "two-then-four"])
def test_a_run_goes_on_with_another_number_of_ranks(
    outcomes: dict[str, Outcome], name: str
) -> None:
    assert_agree(outcomes[name], outcomes["one"])


@pytest.mark.parametrize("name", ["two", "three", "two-clipped"])
def test_a_step_that_one_rank_spoils_changes_no_bit_on_any(
    outcomes: dict[str, Outcome], name: str
) -> None:
    spared, spoilt = outcomes[name], outcomes[f"{name}-spoilt"]
    assert spoilt.norms == spared.norms
    for one, other in zip(spoilt.weights, spared.weights, strict=True):
        assert largest_difference(one, other) == 0.0
    assert spoilt.state.keys() == spared.state.keys()
    assert all(bool((spoilt.state[key] == one).all()) for key, one in spared.state.items())


def test_a_run_that_goes_on_with_the_same_ranks_makes_the_same_bits(
    outcomes: dict[str, Outcome],
) -> None:
    whole, rest = outcomes["two"], outcomes["two-then-two"]
    assert largest_difference(rest.weights[0], whole.weights[0]) == 0.0
    assert rest.state.keys() == whole.state.keys()
    assert all(bool((rest.state[key] == whole.state[key]).all()) for key in whole.state)


def test_the_saved_state_has_one_layout_for_any_number_of_ranks(
    outcomes: dict[str, Outcome],
) -> None:
    shapes = [
        {key: tuple(tensor.shape) for key, tensor in outcomes[name].state.items()}
        for name in ("one", "two", "three", "four")
    ]
    assert shapes == [shapes[0]] * 4
    assert shapes[0]["wte.weight/first_moment"] == (320, 32)


def test_a_gradient_is_clipped_by_its_norm_over_all_ranks(outcomes: dict[str, Outcome]) -> None:
    one, two = outcomes["one-clipped"], outcomes["two-clipped"]
    assert min(one.norms[0]) > 0.01
    assert_agree(two, one)

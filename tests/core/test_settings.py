"""Settings that no run could use are refused in one line, however they are written."""

from __future__ import annotations

from typing import Any

import pytest

from core.config import build_stage_config
from runs.errors import UsageError

STEPS = {"num_iterations": 5}


@pytest.mark.parametrize(
    ("stage", "values"),
    [
        ("base", {**STEPS, "matrix_lr": "nan"}),
        ("base", {**STEPS, "embedding_lr": float("inf")}),
        ("base", {"num_iterations": float("inf")}),
        ("base", {"target_flops": "inf"}),
        ("base", {"target_param_data_ratio": "nan"}),
        ("base", {**STEPS, "grad_clip": "nan"}),
        ("base", {**STEPS, "checkpoint_budget_gb": "-inf"}),
        ("sft", {"init_lr_frac": "nan"}),
    ],
)
def test_numbers_that_are_not_finite_are_refused(stage: str, values: dict[str, Any]) -> None:
    (name,) = values.keys() - STEPS.keys() or values
    with pytest.raises(UsageError, match=rf"{stage}\.{name} takes a .*number"):
        build_stage_config(stage, values)


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("base", "embedding_lr"),
        ("base", "unembedding_lr"),
        ("base", "matrix_lr"),
        ("base", "scalar_lr"),
        ("base", "weight_decay"),
        ("base", "seed"),
        ("base", "pair_start_steps"),
        ("sft", "init_lr_frac"),
        ("data", "seed"),
        ("selfchat", "seed"),
    ],
)
def test_a_rate_or_seed_below_zero_is_refused_and_zero_is_not(stage: str, name: str) -> None:
    steps = STEPS if stage == "base" else {}
    with pytest.raises(UsageError, match=rf"{name} must be 0 or more, not -1"):
        build_stage_config(stage, {**steps, name: "-1"})
    assert getattr(build_stage_config(stage, {**steps, name: "0"}), name) == 0

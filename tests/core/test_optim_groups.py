"""The rates, betas and decays of every group of parameters, against nanochat's table."""

from __future__ import annotations

import math

import pytest
import torch

from core.model import GPT
from core.optim.groups import AdamGroup, MatrixGroup, adam_groups, matrix_groups
from core.scaling import count_params, model_config
from core.settings.training import BaseConfig, Optimizer

VOCAB = 32_768


def groups(
    depth: int, *, optimizer: Optimizer = "current", tokens_per_step: int = 2**19
) -> tuple[GPT, dict[str, AdamGroup], dict[tuple[int, ...], MatrixGroup]]:
    """Return a model without weights, AdamW's groups by first name, Muon's by shape."""
    config = BaseConfig(
        depth=depth, head_dim=128, sequence_len=2048, optimizer=optimizer, num_iterations=1,
    )  # fmt: skip
    with torch.device("meta"):
        model = GPT(model_config(config, VOCAB))
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    tables = adam_groups(model, config, lr_scale=1.0, tokens_per_step=tokens_per_step)
    stacks = matrix_groups(model, config, lr_scale=1.0, tokens_per_step=tokens_per_step)
    return (
        model,
        {group.names[0].split(".")[0]: group for group in tables},
        {shapes[group.names[0]]: group for group in stacks},
    )


@pytest.mark.parametrize(
    ("name", "lr", "betas", "decay"),
    [
        ("head", 0.008, (0.8, 0.96), 0.01),
        ("wte", 0.3, (0.8, 0.995), 0.001),
        ("value_embeds", 0.15, (0.8, 0.995), 0.01),
        ("resid_lambdas", 0.005, (0.8, 0.95), 0.05),
        ("x0_lambdas", 0.5, (0.96, 0.95), 0.0),
        ("smear_lambda", 0.2, (0.8, 0.95), 0.0),
        ("backout_lambda", 0.2, (0.8, 0.95), 0.0),
    ],
)
def test_a_d12_at_half_a_million_tokens_has_the_published_groups(
    name: str, lr: float, betas: tuple[float, float], decay: float
) -> None:
    _, tables, _ = groups(12)
    assert tables[name].lr == pytest.approx(lr)
    assert (tables[name].betas, tables[name].weight_decay) == (betas, decay)


def test_tables_have_the_published_eps_at_the_published_batch() -> None:
    _, tables, _ = groups(12)
    assert {tables[name].eps for name in ("head", "wte", "value_embeds")} == {1e-10}
    _, small, _ = groups(12, tokens_per_step=2**12)
    assert small["wte"].eps == pytest.approx(1e-10 * 2**7)


def test_matrices_are_stacked_by_shape_and_tall_ones_move_faster() -> None:
    _, _, stacks = groups(12)
    counts = {shape: len(group.names) for shape, group in stacks.items()}
    # Gates of the value embeddings: (kv heads, 12), on every other layer.
    assert counts == {(768, 768): 48, (3072, 768): 12, (768, 3072): 12, (6, 12): 6}
    rates = [stacks[shape].lr for shape in counts]
    assert rates == pytest.approx([0.04 if shape == (3072, 768) else 0.02 for shape in counts])


def test_every_parameter_is_in_exactly_one_group() -> None:
    for depth in (2, 4, 12):
        model, tables, stacks = groups(depth)
        named = [name for group in tables.values() for name in group.names]
        named += [name for group in stacks.values() for name in group.names]
        parameters = dict(model.named_parameters())
        assert sorted(named) == sorted(parameters)
        in_stacks = sum(parameters[name].numel() for g in stacks.values() for name in g.names)
        assert in_stacks == count_params(model.config).matrices


def test_rates_of_tables_fall_with_the_width_and_all_but_one_rise_with_the_batch() -> None:
    _, narrow, small_stack = groups(12)
    _, wide, large_stack = groups(20, tokens_per_step=2**20)
    bs, width = math.sqrt(2), (1280 / 768) ** -0.5
    for name in ("head", "wte", "value_embeds"):
        assert wide[name].lr == pytest.approx(narrow[name].lr * bs * width)
    for name in ("resid_lambdas", "x0_lambdas", "backout_lambda"):
        assert wide[name].lr == pytest.approx(narrow[name].lr * bs)
    assert wide["smear_lambda"].lr == narrow["smear_lambda"].lr
    assert large_stack[1280, 1280].lr == pytest.approx(small_stack[768, 768].lr * bs)


def test_the_classic_optimizer_has_one_pair_of_betas_and_no_decay() -> None:
    _, current, stacks = groups(12)
    _, classic, classic_stacks = groups(12, optimizer="classic")
    assert {group.betas for group in classic.values()} == {(0.8, 0.95)}
    assert {group.weight_decay for group in classic.values()} == {0.0}
    assert {n: g.lr for n, g in classic.items()} == {n: g.lr for n, g in current.items()}
    assert classic_stacks == stacks

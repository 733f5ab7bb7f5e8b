"""Initialisation: every tensor is written, and drawn as the table says, row by row."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.config import ModelConfig
from core.model import GPT
from core.scaling import model_config
from core.settings.setting import Arch
from core.settings.training import BaseConfig

WIDTH, LAYERS = 128, 5
ARCHS = pytest.mark.parametrize("arch", ["current", "classic"])


def shape(arch: Arch, **settings: object) -> ModelConfig:
    values = {
        "depth": LAYERS, "aspect_ratio": WIDTH // LAYERS, "head_dim": 32, "sequence_len": 64,
        "num_iterations": 1, **settings,
    }  # fmt: skip
    return model_config(BaseConfig(arch=arch, **values), 4096)  # type: ignore[arg-type]


def written(config: ModelConfig, seed: int = 0) -> GPT:
    """Return a model that held nothing but NaN before its initialisation."""
    with torch.device("meta"):
        model = GPT(config)
    model.to_empty(device="cpu")
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.fill_(math.nan)
    model.init_weights(torch.Generator().manual_seed(seed))
    return model


def is_normal(tensor: Tensor, deviation: float) -> bool:
    """Return whether a tensor's moments are those of a normal with mean 0."""
    x = tensor.detach().double() / deviation
    wide = 6 / math.sqrt(x.numel())
    return (
        abs(float(x.mean())) < wide
        and abs(float(x.square().mean()) - 1) < 2 * wide
        # A uniform of the same deviation has 1.8.
        and abs(float(x.pow(4).mean()) - 3) < 10 * wide
    )


def is_uniform(tensor: Tensor, low: float, high: float) -> bool:
    """Return whether a tensor lies within bounds, reaches them and fills them evenly."""
    x = (tensor.detach().double() - low) / (high - low)
    wide = 6 / math.sqrt(x.numel())
    return (
        float(x.min()) >= 0
        and float(x.max()) <= 1 + 1e-6
        and abs(float(x.mean()) - 0.5) < wide
        and abs(float((x - 0.5).square().mean()) - 1 / 12) < wide
    )


@ARCHS
def test_init_writes_every_parameter_and_buffer_of_both_architectures(arch: Arch) -> None:
    for ratio in (1, 2):
        model = written(shape(arch, kv_ratio=ratio))
        named = (*model.named_parameters(), *model.named_buffers())
        assert [name for name, tensor in named if not torch.isfinite(tensor).all()] == []


def test_current_weights_are_drawn_as_the_table_says() -> None:
    model = written(shape("current"))
    bound = math.sqrt(3 / WIDTH)
    assert is_normal(model.wte.weight, 0.8)
    assert is_normal(model.head.weight, 0.001)
    for name, parameter in model.named_parameters():
        parts = name.split(".")
        if parts[0] == "value_embeds" or {"query", "key", "value"} & set(parts):
            assert is_uniform(parameter, -bound, bound), name
        elif "fc" in parts:
            assert is_uniform(parameter, -0.4 * bound, 0.4 * bound), name
        elif "out" in parts:
            assert not parameter.any(), name
        elif "value_gate" in parts or "smear_gate" in parts:
            assert is_uniform(parameter, 0, 0.02), name
        else:
            assert name in {
                "wte.weight", "head.weight", "resid_lambdas", "x0_lambdas", "smear_lambda",
                "backout_lambda",
            }, name  # fmt: skip
    fractions = [layer / (LAYERS - 1) for layer in range(LAYERS)]
    assert model.resid_lambdas.tolist() == pytest.approx([1.15 - 0.10 * x for x in fractions])
    assert model.x0_lambdas.tolist() == pytest.approx([0.20 - 0.15 * x for x in fractions])
    assert model.smear_lambda.tolist() == [0]
    assert model.backout_lambda.tolist() == pytest.approx([0.2])


def test_classic_weights_are_drawn_as_the_table_says() -> None:
    model = written(shape("classic", kv_ratio=4))
    assert is_normal(model.wte.weight, 1.0)
    assert not model.head.weight.any()
    for name, parameter in model.named_parameters():
        if name in {"wte.weight", "head.weight"} or not name.startswith("blocks."):
            continue
        if ".out." in name:
            assert not parameter.any(), name
            continue
        fan_out, fan_in = parameter.shape
        deviation = fan_in**-0.5 * min(1.0, math.sqrt(fan_out / fan_in))
        assert is_normal(parameter, deviation), name
        # Shared key heads make a matrix that narrows, where the second factor counts.
        assert ("key" in name or "value" in name) == (fan_out < fan_in), name


@ARCHS
def test_rotary_tables_hold_the_angles_of_their_base(arch: Arch) -> None:
    model = written(shape(arch))
    base = {"current": 100_000.0, "classic": 10_000.0}[arch]
    assert model.cos.shape == (640, 16)
    for position, pair in ((0, 0), (1, 0), (3, 5), (639, 15)):
        angle = position * base ** (-2 * pair / 32)
        assert float(model.cos[position, pair]) == pytest.approx(math.cos(angle), abs=1e-4)
        assert float(model.sin[position, pair]) == pytest.approx(math.sin(angle), abs=1e-4)


@ARCHS
def test_same_seed_gives_the_same_weights_and_another_does_not(arch: Arch) -> None:
    first, second, third = (written(shape(arch), seed=seed) for seed in (3, 3, 4))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(first.wte.weight, third.wte.weight)


def test_an_architecture_brings_its_own_initialisation() -> None:
    assert shape("current").init == "current"
    assert shape("classic").init == "classic"

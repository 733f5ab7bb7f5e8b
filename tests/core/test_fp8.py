"""Products in 8-bit floats: run for real on the CPU's own kernel, against exact emulation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.model import GPT
from core.train.fp8 import GRADIENT, INPUT, fp8_layers, fp8_linear, to_fp8, use_fp8
from runs.errors import UsageError
from tests.core.builders import tiny_config

M, K, N = 64, 128, 192
CPU = torch.device("cpu")


def normal(*shape: int, seed: int, scale: float = 1.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def rounded(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return x as the 8-bit type holds it, in float64."""
    x8, factor = to_fp8(x, dtype)
    return x8.double() * factor.double()


@pytest.fixture
def products() -> dict[str, Tensor]:
    x = normal(2, M // 2, K, seed=1).bfloat16().requires_grad_()
    weight = normal(N, K, seed=2, scale=0.1).requires_grad_()
    grad = normal(2, M // 2, N, seed=3, scale=1e-4).bfloat16()
    out = fp8_linear(x, weight)
    out.backward(grad)
    assert x.grad is not None and weight.grad is not None
    return {
        "x": x.detach(), "weight": weight.detach(), "grad": grad, "out": out.detach(),
        "grad_x": x.grad, "grad_weight": weight.grad,
    }  # fmt: skip


def expected(p: dict[str, Tensor], *, is_rounded: bool) -> dict[str, Tensor]:
    """Return the three products in float64, of operands that are rounded to 8 bits or not."""
    x, grad = p["x"].reshape(M, K), p["grad"].reshape(M, N)
    x8 = rounded(x, INPUT) if is_rounded else x.double()
    weight8 = rounded(p["weight"], INPUT) if is_rounded else p["weight"].double()
    grad8 = rounded(grad, GRADIENT) if is_rounded else grad.double()
    return {"out": x8 @ weight8.t(), "grad_x": grad8 @ weight8, "grad_weight": grad8.t() @ x8}


def distance(found: Tensor, wanted: Tensor) -> float:
    return float((found.double().reshape(wanted.shape) - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("name", ["out", "grad_x", "grad_weight"])
def test_products_are_those_of_the_rounded_operands(products: dict[str, Tensor], name: str) -> None:
    # What is left is the rounding of the result to bfloat16.
    assert distance(products[name], expected(products, is_rounded=True)[name]) < 2**-8


@pytest.mark.parametrize(
    ("name", "bound"), [("out", 0.05), ("grad_x", 0.08), ("grad_weight", 0.08)]
)
def test_products_stay_near_those_of_bfloat16(
    products: dict[str, Tensor], name: str, bound: float
) -> None:
    error = distance(products[name], expected(products, is_rounded=False)[name])
    assert 0.001 < error < bound


def test_gradients_come_in_the_types_of_what_they_are_for(products: dict[str, Tensor]) -> None:
    assert products["grad_x"].dtype == torch.bfloat16
    assert products["grad_weight"].dtype == torch.float32
    assert products["out"].shape == (2, M // 2, N)


@pytest.mark.parametrize("dtype", [INPUT, GRADIENT])
@pytest.mark.parametrize("magnitude", [0.0, 1e-30, 1e-8, 1.0, 3.7e4])
def test_the_largest_magnitude_becomes_the_largest_number(
    dtype: torch.dtype, magnitude: float
) -> None:
    x = torch.tensor([magnitude, -magnitude / 3])
    x8, factor = to_fp8(x, dtype)
    assert x8.float().isfinite().all()
    if magnitude > 1e-10:
        assert float(x8[0]) == torch.finfo(dtype).max
        assert float(x8[0].float() * factor) == pytest.approx(magnitude, rel=1e-6)


def test_what_is_not_learned_from_is_multiplied_exactly_as_without_fp8() -> None:
    x, weight = normal(M, K, seed=1).bfloat16(), normal(N, K, seed=2).requires_grad_()
    with torch.no_grad():
        found = fp8_linear(x, weight)
    assert torch.equal(found, torch.nn.functional.linear(x, weight.detach().bfloat16()))


def test_rows_that_fill_no_block_are_multiplied_without_fp8() -> None:
    x, weight = normal(M + 1, K, seed=1).bfloat16(), normal(N, K, seed=2)
    found = fp8_linear(x, weight)
    assert torch.equal(found, torch.nn.functional.linear(x, weight.bfloat16()))


def wide_model() -> GPT:
    model = GPT(tiny_config(n_embd=128, num_heads=2, num_kv_heads=2), dtype=torch.bfloat16)
    model.init_weights(torch.Generator().manual_seed(1))
    return model


def test_only_layers_of_whole_blocks_that_are_wide_enough_take_part() -> None:
    taken = fp8_layers(wide_model())
    assert len(taken) == 2 * 6
    assert all(min(layer.in_features, layer.out_features) >= 128 for layer in taken)
    narrow = GPT(tiny_config(n_embd=96, num_heads=2, num_kv_heads=2))
    assert fp8_layers(narrow) == []
    assert fp8_layers(nn.Sequential(nn.Linear(128, 136))) == []


def test_a_model_in_fp8_learns_nearly_as_in_bfloat16_and_evaluates_alike() -> None:
    ids = torch.randint(300, (1, 17), generator=torch.Generator().manual_seed(4))
    losses: dict[str, list[float]] = {}
    for name in ("plain", "fp8"):
        model = wide_model()
        for layer in fp8_layers(model) if name == "fp8" else ():
            layer.multiply = fp8_linear
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        losses[name] = []
        for _ in range(6):
            loss = torch.nn.functional.cross_entropy(
                model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[name].append(float(loss.detach()))
    assert losses["plain"][-1] < losses["plain"][0] - 0.1
    assert losses["fp8"] == pytest.approx(losses["plain"], rel=0.02)
    assert losses["fp8"] != losses["plain"]


def test_fp8_where_there_is_none_is_refused_in_one_line() -> None:
    model = wide_model()
    with pytest.raises(UsageError, match=r"fp8 = on is not possible here: .* Hopper on, not cpu"):
        use_fp8("on", model, CPU, is_compiled=True)
    assert use_fp8("auto", model, CPU, is_compiled=True) == 0
    assert use_fp8("off", model, CPU, is_compiled=True) == 0


@pytest.mark.parametrize(
    ("capability", "is_compiled", "num"),
    [((8, 9), True, 0), ((9, 0), True, 12), ((9, 0), False, 0), ((12, 1), True, 12)],
)
def test_auto_takes_fp8_from_hopper_on_when_training_is_compiled(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], is_compiled: bool, num: int
) -> None:
    def told(device: Any) -> tuple[int, int]:
        return capability

    monkeypatch.setattr(torch.cuda, "get_device_capability", told)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    cuda = torch.device("cuda")
    assert use_fp8("auto", wide_model(), cuda, is_compiled=is_compiled) == num


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_the_kernel_of_a_gpu_gives_what_that_of_the_cpu_does() -> None:
    x, weight = normal(M, K, seed=1).bfloat16(), normal(N, K, seed=2)
    there = fp8_linear(x.cuda().requires_grad_(), weight.cuda()).cpu()
    assert distance(there, fp8_linear(x, weight).double()) < 0.01


def test_a_trunk_in_fp8_is_one_graph_with_equal_results() -> None:
    model = wide_model()
    for layer in fp8_layers(model):
        layer.multiply = fp8_linear
    ids = torch.randint(300, (1, 16), generator=torch.Generator().manual_seed(4))
    # Without the code generator: what is asked is that one graph holds all, both ways.
    traced = torch.compile(GPT.trunk, backend="aot_eager", fullgraph=True, dynamic=False)
    gradients = []
    for trunk in (GPT.trunk, traced):
        model.zero_grad()
        trunk(model, *model.embed(ids)).float().square().mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 10
    for eager, compiled in zip(*gradients, strict=True):
        assert torch.allclose(eager, compiled, rtol=1e-3, atol=1e-6)

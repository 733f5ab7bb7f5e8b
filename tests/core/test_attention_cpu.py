"""The CPU's own backward pass of causal attention: the gradients that torch's kernel has."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core.attention.cpu import BLOCK, attend_causal


def outcome(attend: object, inputs: list[Tensor], upstream: Tensor) -> list[Tensor]:
    assert callable(attend)
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    out = attend(*leaves)
    return [out.detach(), *torch.autograd.grad(out, leaves, upstream)]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_outputs_and_gradients_equal_those_of_the_plain_form(
    dtype: torch.dtype, tolerance: float, scale: float | None
) -> None:
    draw = torch.Generator().manual_seed(0)
    # As the model has them: heads beside each other in memory, seen through a transposition.
    *inputs, upstream = (
        torch.randn(2, 3 * BLOCK, 2, 16, generator=draw).to(dtype).transpose(1, 2) for _ in range(4)
    )

    def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)

    def own(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend_causal(q, k, v, scale)

    exact = outcome(plain, [x.float() for x in inputs], upstream.float())
    found = outcome(own, inputs, upstream)
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == dtype
        assert float((one.float() - other).norm() / other.norm()) < tolerance

"""The chunked loss: same value and gradient as the plain form, whatever the chunks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core import loss
from core.loss import IGNORED, bits_per_byte, chunked_cross_entropy, chunked_token_losses
from core.model import GPT
from tests.core.builders import tiny_config

SOFTCAP = 15.0
VOCAB = 77


def problem(dtype: torch.dtype, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Return hidden states, a padded head and targets of which a third are not counted."""
    draw = torch.Generator().manual_seed(0)
    hidden_NC = torch.randn(24, 16, generator=draw, dtype=torch.float64) * scale
    weight_VC = torch.randn(80, 16, generator=draw, dtype=torch.float64)
    targets_N = torch.randint(0, VOCAB, (24,), generator=draw)
    targets_N[::3] = IGNORED
    return hidden_NC.to(dtype).requires_grad_(), weight_VC.to(dtype).requires_grad_(), targets_N


def plain(hidden_NC: Tensor, weight_VC: Tensor, targets_N: Tensor) -> Tensor:
    logits_NV = SOFTCAP * torch.tanh((hidden_NC @ weight_VC.T)[:, :VOCAB] / SOFTCAP)
    return F.cross_entropy(logits_NV, targets_N, ignore_index=IGNORED, reduction="sum")


def chunked(hidden_NC: Tensor, weight_VC: Tensor, targets_N: Tensor) -> Tensor:
    return chunked_cross_entropy(hidden_NC, weight_VC, targets_N, vocab_size=VOCAB, softcap=SOFTCAP)


@pytest.fixture(
    params=[(1, 1), (5 * VOCAB * 8, 2 * VOCAB * 4), (2**20, 3 * VOCAB * 4), (2**20, 2**20)],
    ids=["row", "some", "slices", "all"],
)
def any_chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    chunk_bytes, work_bytes = request.param
    monkeypatch.setattr(loss, "CPU_CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(loss, "CPU_WORK_BYTES", work_bytes)


@pytest.mark.usefixtures("any_chunks")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("scale", [0.1, 1.0, 100.0])
def test_value_and_gradients_equal_those_of_the_plain_form(
    dtype: torch.dtype, tolerance: float, scale: float
) -> None:
    hidden_NC, weight_VC, targets_N = problem(dtype, scale)
    expected = plain(hidden_NC, weight_VC, targets_N)
    wanted = torch.autograd.grad(expected * 3, (hidden_NC, weight_VC))
    value = chunked(hidden_NC, weight_VC, targets_N)
    found = torch.autograd.grad(value * 3, (hidden_NC, weight_VC))
    assert value.item() == pytest.approx(expected.item(), rel=tolerance)
    for one, other in zip(found, wanted, strict=True):
        largest = float(other.abs().max())
        assert torch.allclose(one, other, rtol=0, atol=max(largest, 1) * 10 * tolerance)


def test_the_gradient_is_the_slope_of_the_value() -> None:
    hidden_NC, weight_VC, targets_N = problem(torch.float64)
    places = (hidden_NC, weight_VC)
    gradients = torch.autograd.grad(chunked(*places, targets_N), places)
    draw = torch.Generator().manual_seed(1)
    directions = [torch.randn(x.shape, generator=draw, dtype=x.dtype) * 1e-6 for x in places]
    with torch.no_grad():
        ahead, behind = (
            chunked(
                hidden_NC + sign * directions[0], weight_VC + sign * directions[1], targets_N
            ).item()
            for sign in (1, -1)
        )
    expected = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
    assert (ahead - behind) / 2 == pytest.approx(expected, rel=1e-5)


def test_a_second_backward_pass_is_refused() -> None:
    hidden_NC, weight_VC, targets_N = problem(torch.float32)
    value = chunked(hidden_NC, weight_VC, targets_N)
    value.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        value.backward()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_agrees_to_its_own_rounding(dtype: torch.dtype) -> None:
    hidden_NC, _, targets_N = problem(dtype)
    weight_VC = problem(torch.float32)[1]
    exact = [tensor.detach().float().requires_grad_() for tensor in (hidden_NC, weight_VC)]
    wanted = torch.autograd.grad(plain(exact[0], exact[1], targets_N), exact)
    value = chunked(hidden_NC, weight_VC, targets_N)
    found = torch.autograd.grad(value, (hidden_NC, weight_VC))
    assert value.dtype == torch.float32
    assert [tensor.dtype for tensor in found] == [dtype, torch.float32]
    assert value.item() == pytest.approx(plain(exact[0], exact[1], targets_N).item(), rel=5e-3)
    for one, other in zip(found, wanted, strict=True):
        assert float((one.float() - other).norm() / other.norm()) < 0.01


def test_uncounted_rows_and_padding_have_no_gradient() -> None:
    hidden_NC, weight_VC, targets_N = problem(torch.float32)
    by_hidden, by_weight = torch.autograd.grad(
        chunked(hidden_NC, weight_VC, targets_N), (hidden_NC, weight_VC)
    )
    assert by_hidden[targets_N < 0].abs().sum() == 0
    assert (by_hidden[targets_N >= 0].abs().sum(-1) > 0).all()
    assert by_weight[VOCAB:].abs().sum() == 0


def test_rows_that_are_all_uncounted_cost_nothing() -> None:
    hidden_NC, weight_VC, targets_N = problem(torch.float32)
    value = chunked(hidden_NC, weight_VC, torch.full_like(targets_N, IGNORED))
    value.backward()
    assert value.item() == 0
    assert weight_VC.grad is not None
    assert weight_VC.grad.abs().sum() == 0


@pytest.mark.usefixtures("any_chunks")
def test_losses_per_token_add_up_to_the_loss_without_gradients() -> None:
    hidden_NC, weight_VC, targets_N = problem(torch.float32)
    losses_N = chunked_token_losses(
        hidden_NC, weight_VC, targets_N, vocab_size=VOCAB, softcap=SOFTCAP
    )
    assert not losses_N.requires_grad
    assert (losses_N[targets_N < 0] == 0).all()
    with_grad = chunked(hidden_NC, weight_VC, targets_N)
    with torch.no_grad():
        assert chunked(hidden_NC, weight_VC, targets_N).item() == losses_N.sum().item()
    assert losses_N.sum().item() == pytest.approx(with_grad.item(), rel=1e-6)


def test_no_tensor_as_large_as_the_logits_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "CPU_CHUNK_BYTES", 4 * VOCAB * 4)
    sizes: list[int] = []

    def watched(z_nV: Tensor, targets_n: Tensor, softcap: float) -> tuple[Tensor, Tensor, Tensor]:
        sizes.append(z_nV.size(0))
        return loss.loss_terms(z_nV, targets_n, softcap)

    hidden_NC, weight_VC, targets_N = problem(torch.float32)
    chunked_cross_entropy(
        hidden_NC, weight_VC, targets_N, vocab_size=VOCAB, softcap=SOFTCAP, terms=watched
    ).backward()
    assert sizes == [4] * 6


def test_the_same_step_twice_gives_the_same_bits() -> None:
    def once() -> list[Tensor]:
        hidden_NC, weight_VC, targets_N = problem(torch.float32)
        value = chunked(hidden_NC, weight_VC, targets_N)
        return [value, *torch.autograd.grad(value, (hidden_NC, weight_VC))]

    assert all(torch.equal(one, other) for one, other in zip(once(), once(), strict=True))


def test_a_tied_head_gets_the_gradients_of_both_its_uses() -> None:
    _, table_VC, targets_N = problem(torch.float64)
    ids_N = torch.arange(24) % VOCAB

    def tied(form: str) -> Tensor:
        hidden_NC = F.embedding(ids_N, table_VC)
        value = (plain if form == "plain" else chunked)(hidden_NC, table_VC, targets_N)
        return torch.autograd.grad(value, table_VC)[0]

    assert torch.allclose(tied("chunked"), tied("plain"), atol=1e-10)


def test_bits_per_byte_is_the_exact_sum_over_many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    model = GPT(tiny_config())
    model.init_weights(torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(1)
    losses_N = torch.rand(1000, generator=draw) * 1e4
    monkeypatch.setattr(loss, "chunked_token_losses", lambda *_, **__: losses_N)
    targets_BT = torch.randint(0, 300, (1, 1000), generator=draw)
    token_bytes_V = torch.ones(300, dtype=torch.int32)
    idx_BT = torch.zeros(1, 8, dtype=torch.long)
    found = bits_per_byte(model, [(idx_BT, targets_BT)] * 50, token_bytes_V)
    exact = math.fsum(losses_N.tolist() * 50) / (math.log(2) * 50_000)
    assert found == pytest.approx(exact, rel=1e-14)

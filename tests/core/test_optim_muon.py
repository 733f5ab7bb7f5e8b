"""Muon's parts against their formulas: singular values, row norms, sizes, and whole steps."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from core.optim.groups import MatrixGroup, StepRates
from core.optim.muon import Muon
from core.optim.newton_schulz import NEWTON_SCHULZ, newton_schulz
from core.optim.polar_express import (
    LOWEST,
    POLAR_EXPRESS,
    coefficients,
    composition,
    equalized,
    odd_polynomials,
    polar_express,
)
from core.optim.variance import moment_shape, scale_of_update
from core.ranks import alone

CPU = alone(torch.device("cpu"))
SHAPES = [(48, 48), (96, 24), (24, 96)]
DTYPES = [torch.float32, torch.bfloat16]


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_singular_values(values: Tensor, M: int, N: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return U, V and U diag(values) V^T, of shape (1, M, N)."""
    U = torch.linalg.qr(randn(M, len(values)))[0]
    V = torch.linalg.qr(randn(N, len(values), seed=1))[0]
    return U, V, (U * values @ V.mT)[None]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("M", "N"), SHAPES)
def test_polar_express_brings_singular_values_near_one_and_keeps_their_vectors(
    M: int, N: int, dtype: torch.dtype
) -> None:
    # bfloat16 has 8 bits, and rounds away what is below a few thousandths of the largest.
    lowest = LOWEST if dtype == torch.float32 else 0.02
    values = torch.logspace(math.log10(lowest), math.log10(0.99), min(M, N))
    U, V, x = with_singular_values(values, M, N)
    result = odd_polynomials(x.to(dtype), POLAR_EXPRESS).float()[0]
    found = torch.linalg.svdvals(result)
    # The five steps leave [1e-3, 1] within 0.21 of 1.
    assert found.min() > 0.78
    assert found.max() < 1.22
    aligned = U.mT @ result @ V
    noise = 1e-3 if dtype == torch.float32 else 0.1
    assert (aligned - aligned.diagonal().diag()).abs().max() < noise


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("M", "N"), SHAPES)
def test_newton_schulz_brings_singular_values_into_its_band(
    M: int, N: int, dtype: torch.dtype
) -> None:
    _, _, u = with_singular_values(torch.linspace(0.1, 1, min(M, N)), M, N)
    found = torch.linalg.svdvals(newton_schulz(3 * u, 5, dtype).float())
    assert found.min() > 0.65
    assert found.max() < 1.25


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("K", "M", "N"), [(3, 32, 32), (2, 64, 16), (2, 16, 64)])
def test_orthogonalised_random_matrices_have_equal_singular_values(
    K: int, M: int, N: int, dtype: torch.dtype
) -> None:
    x = polar_express(randn(K, M, N), 5, dtype).float()
    values = torch.linalg.svdvals(x * scale_of_update(x, torch.zeros(K, *moment_shape(M, N))))
    assert values.min() > 0.6
    assert values.max() < 1.4


def test_the_coefficients_are_those_of_the_paper_s_algorithm() -> None:
    derived = composition(5, LOWEST)
    assert [value for triple in derived for value in triple] == pytest.approx(
        [value for triple in POLAR_EXPRESS for value in triple], rel=1e-12
    )
    assert coefficients(5) == POLAR_EXPRESS


def apply(triples: tuple[tuple[float, float, float], ...], x: Tensor) -> Tensor:
    for a, b, c in triples:
        x = a * x + b * x**3 + c * x**5
    return x


@pytest.mark.parametrize(("num_iterations", "lowest"), [(3, 1e-2), (4, 5e-3)])
def test_few_iterations_have_coefficients_that_beat_the_first_of_five(
    num_iterations: int, lowest: float
) -> None:
    x = torch.logspace(math.log10(lowest), 0, 2000, dtype=torch.float64)
    own = (1 - apply(coefficients(num_iterations), x)).abs().max()
    cut = (1 - apply(POLAR_EXPRESS[:num_iterations], x)).abs().max()
    assert len(coefficients(num_iterations)) == num_iterations
    assert own < 0.75 * cut


@pytest.mark.parametrize("num_iterations", [1, 2, 3, 4, 5, 6, 8])
def test_no_number_of_iterations_lets_a_singular_value_run_away(num_iterations: int) -> None:
    # Up to the margin that rounding may use.
    x = torch.linspace(0, 1.01, 5000, dtype=torch.float64)
    found = apply(coefficients(num_iterations), x)
    assert found.min() >= 0
    assert found.max() < (2 if num_iterations > 1 else 2.3)


def test_more_iterations_come_nearer_to_one() -> None:
    x = torch.logspace(-3, 0, 500, dtype=torch.float64)
    errors = [float((1 - apply(coefficients(k), x)).square().mean()) for k in range(1, 9)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-6


def test_rows_are_equalised_but_noise_is_not_raised() -> None:
    u = randn(2, 8, 16) * torch.logspace(-3, 2, 8)[:, None]
    u[1, 3] *= 1e-9
    u[1, 5] = 0
    rows = equalized(u, torch.float32).norm(dim=-1)
    assert rows[0].tolist() == pytest.approx([1 / 1.01 / math.sqrt(8)] * 8, rel=1e-4)
    assert rows[1, 3] < 1e-2 * rows[1, 0]
    assert rows[1, 5] == 0
    assert equalized(torch.zeros(1, 4, 4), torch.float32).count_nonzero() == 0


@pytest.mark.parametrize(("M", "N"), SHAPES)
def test_an_update_has_the_norm_of_an_orthogonal_factor_whatever_its_history(
    M: int, N: int
) -> None:
    moment = torch.rand((3, *moment_shape(M, N)), generator=torch.Generator().manual_seed(0))
    for seed in range(3):
        x = randn(3, M, N, seed=seed) * 7
        norms = (x * scale_of_update(x, moment)).norm(dim=(-2, -1))
        assert norms.tolist() == pytest.approx([math.sqrt(min(M, N))] * 3, rel=1e-5)


def test_lines_that_were_long_get_shorter_updates() -> None:
    x = torch.ones(1, 8, 4)
    moment = torch.ones(1, 8, 1)
    moment[0, 0] = 100.0
    lengths = (x * scale_of_update(x, moment)).norm(dim=-1)[0]
    assert lengths[0] < 0.2 * lengths[1]
    assert lengths[1:].tolist() == pytest.approx([float(lengths[1])] * 7)


def written_out(
    p: Tensor, g: Tensor, buf: Tensor, S: Tensor, *, lr: float, mu: float, wd: float
) -> Tensor:
    """Return a weight after one step of the current rule, in the words of its description."""
    m, n = p.shape
    buf.lerp_(g, 1 - mu)
    X = g.lerp(buf, mu)
    X = X * (X.norm() / math.sqrt(m)) / X.norm(dim=1, keepdim=True).clamp_min(1e-6)
    X = X / (X.norm() * 1.01 + 1e-6)
    for a, b, c in POLAR_EXPRESS:
        if m <= n:
            A = X @ X.mT
            X = a * X + (b * A + c * A @ A) @ X
        else:
            A = X.mT @ X
            X = a * X + X @ (b * A + c * A @ A)
    X = X * math.sqrt(min(m, n)) / X.norm().clamp_min(1e-6)
    red = 1 if m >= n else 0
    r = X.shape[red]
    v = X.square().mean(dim=red, keepdim=True)
    S.lerp_(v, 0.1)
    s = S.clamp_min(1e-10).rsqrt()
    X = X * s * (v * r).sum().sqrt() / (v * r * s * s).sum().sqrt().clamp_min(1e-10)
    rate = lr * math.sqrt(max(1, m / n))
    return p - rate * X - rate * wd * p * (X * p >= 0)


def written_out_classic(p: Tensor, g: Tensor, buf: Tensor, *, lr: float, mu: float) -> Tensor:
    buf.lerp_(g, 1 - mu)
    X = g.lerp(buf, mu)
    X = X.mT if X.shape[0] > X.shape[1] else X
    X = X / (X.norm() + 1e-7)
    ((a, b, c),) = NEWTON_SCHULZ
    for _ in range(5):
        A = X @ X.mT
        X = a * X + (b * A + c * A @ A) @ X
    X = X if X.shape == p.shape else X.mT
    return p - lr * math.sqrt(max(1, p.shape[0] / p.shape[1])) * X


def muon(params: list[nn.Parameter], *, is_classic: bool) -> Muon:
    rows, columns = params[0].shape
    named = {f"w{i}": param for i, param in enumerate(params)}
    rate = 0.02 * math.sqrt(max(1, rows / columns))
    return Muon(
        MatrixGroup(names=tuple(named), lr=rate), named, CPU,
        variant="classic" if is_classic else "current", num_iterations=5, dtype=torch.float32,
    )  # fmt: skip


@pytest.mark.parametrize("is_classic", [False, True])
@pytest.mark.parametrize(("M", "N"), [(24, 24), (40, 10), (10, 40), (700, 600)])
@torch.no_grad()
def test_steps_are_those_of_the_description(M: int, N: int, is_classic: bool) -> None:
    # The largest shape is above what is worked on at once: its three matrices go one by one.
    params = [nn.Parameter(randn(M, N, seed=i)) for i in range(3)]
    expected = [param.double() for param in params]
    buffers = [torch.zeros(M, N, dtype=torch.float64) for _ in params]
    moments = [torch.zeros(*moment_shape(M, N), dtype=torch.float64) for _ in params]
    ours = muon(params, is_classic=is_classic)
    start = [param.clone() for param in params]
    for step in range(2):
        mu, wd = 0.9 + 0.05 * step, 0.0 if is_classic else 0.3
        for i, param in enumerate(params):
            grad = randn(M, N, seed=10 * step + i)
            param.grad = grad.clone()
            if is_classic:
                expected[i] = written_out_classic(
                    expected[i], grad.double(), buffers[i], lr=0.02, mu=mu
                )
            else:
                expected[i] = written_out(
                    expected[i], grad.double(), buffers[i], moments[i], lr=0.02, mu=mu, wd=wd
                )
        ours.shard.start_reduce()
        ours.shard.finish_reduce()
        ours.step(StepRates(lr_multiplier=1.0, momentum=mu, weight_decay=wd))
    for param, first, true in zip(params, start, expected, strict=True):
        off, moved = (param - true).norm(), (true - first).norm()
        # float32 against float64; the smallest singular values carry their rounding along.
        assert off < 3e-3 * moved

"""Attention: every backend against a plain softmax in float64, its choice, and what it keeps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from core.attention import flash
from core.attention.attend import Attend
from core.attention.blocks import attend_in_blocks
from core.attention.choice import Abilities, Backend, choose_backend
from core.loss import summed_loss
from core.model import GPT
from core.settings.training import AttentionChoice
from runs.errors import UsageError
from tests.core.builders import tiny_config

# Longer than a block of queries, and no multiple of any block.
LENGTH = 300
WINDOWS = (0, 1, 64, 128, 260, LENGTH - 1, LENGTH + 5)
# What a computation in a type may differ by from one in float64.
TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 3e-2}
HAS_GPU = torch.cuda.is_available()
IS_HOPPER = HAS_GPU and torch.cuda.get_device_capability()[0] == 9

BACKENDS = [
    "sdpa",
    "flex",
    pytest.param(
        "flash",
        marks=pytest.mark.skipif(
            not IS_HOPPER or flash.find_flash() is None,
            reason="FlashAttention-3 or a Hopper GPU for it is missing",
        ),
    ),
]


def plain(q_BTHD: Tensor, k_BSKD: Tensor, v_BSKD: Tensor, window: int) -> Tensor:
    """Return what attention is by definition, one matrix of all scores."""
    num, num_keys = q_BTHD.size(1), k_BSKD.size(1)
    groups = q_BTHD.size(2) // k_BSKD.size(2)
    k_BSHD, v_BSHD = (x.repeat_interleave(groups, dim=2) for x in (k_BSKD, v_BSKD))
    scores_BHTS = torch.einsum("bthd,bshd->bhts", q_BTHD, k_BSHD) / math.sqrt(q_BTHD.size(3))
    position_T = torch.arange(num_keys - num, num_keys)[:, None]
    key_S = torch.arange(num_keys)[None]
    hidden = (key_S > position_T) | (key_S < position_T - window)
    weights_BHTS = scores_BHTS.masked_fill(hidden, -math.inf).softmax(dim=-1)
    return torch.einsum("bhts,bshd->bthd", weights_BHTS, v_BSHD)


def draw(groups: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values of 4 heads, as the type rounds them."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, LENGTH, heads, 16) for heads in (4, 4 // groups, 4 // groups))
    q, k, v = (torch.randn(shape, generator=generator).to(dtype) for shape in shapes)
    return q, k, v


def device_of(backend: str) -> torch.device:
    return torch.device("cuda" if backend != "sdpa" and HAS_GPU else "cpu")


def prepared(backend: Backend, window: int) -> Attend:
    attend = Attend(backend)
    if backend == "flex" and not HAS_GPU:
        from torch.nn.attention.flex_attention import flex_attention

        from core.attention.flex import SlidingFlex

        # Eager, which a CPU has: the same masks by another route.
        attend._flex = SlidingFlex(flex_attention)
    attend.prepare(LENGTH, [window], device_of(backend))
    return attend


def trained(
    attend: Attend, leaves: list[Tensor], window: int, is_whole: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield outputs of whole rows and, where the backend has them, gradients, with the truth."""
    truth = [leaf.detach().double().cpu().requires_grad_() for leaf in leaves]
    right = plain(truth[0], truth[1], truth[2], window)
    out = attend(leaves[0], leaves[1], leaves[2], window=window)
    yield out, right
    if is_whole:
        pull = torch.randn(right.shape, generator=torch.Generator().manual_seed(1))
        right.backward(pull.double())
        out.backward(pull.to(out))
        for leaf, true in zip(leaves, truth, strict=True):
            assert leaf.grad is not None
            assert true.grad is not None
            yield leaf.grad, true.grad


def cached(
    attend: Attend, leaves: list[Tensor], window: int, sizes: list[int]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield outputs of parts of a row, each over a cache that has grown by it, with the truth."""
    q, k, v = leaves
    right = plain(q.double().cpu(), k.double().cpu(), v.double().cpu(), window)
    end = 0
    for size in sizes:
        start, end = end, end + size
        yield attend(q[:, start:end], k[:, :end], v[:, :end], window=window), right[:, start:end]


@pytest.mark.parametrize("use", ["training", "prefill", "decode"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_computes_plain_attention(
    backend: Backend, window: int, groups: int, dtype: torch.dtype, use: str
) -> None:
    if backend == "flash" and dtype == torch.float32:
        pytest.skip("FlashAttention-3 computes in 16 bits only")
    device = device_of(backend)
    # torch has no backward pass of FlexAttention on a CPU.
    is_whole = use == "training" and (backend != "flex" or HAS_GPU)
    leaves = [x.to(device).requires_grad_(is_whole) for x in draw(groups, dtype)]
    attend = prepared(backend, window)
    # Windows end inside, at the end of and before the parts.
    parts = {"prefill": [1, 63, 2, 134, 100], "decode": [200, *[1] * 100]}
    pairs = (
        trained(attend, leaves, window, is_whole)
        if use == "training"
        else cached(attend, leaves, window, parts[use])
    )
    for ours, right in pairs:
        assert ours.shape == right.shape
        error = (ours.double().cpu() - right).detach().abs().max()
        assert float(error) <= TOLERANCE[dtype] * max(1, float(right.detach().abs().max()))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("num", [1, 30, LENGTH])
def test_flash_is_asked_for_our_windows_in_its_own_terms(window: int, num: int) -> None:
    def documented(
        q: Tensor, k: Tensor, v: Tensor, *, causal: bool, window_size: tuple[int, int],
        deterministic: bool,
    ) -> tuple[Tensor, None]:  # fmt: skip
        """Return what its documentation promises; -1 is no limit, the last query sees all keys."""
        left, right = window_size
        assert causal
        assert right == 0
        assert not deterministic
        return plain(q, k, v, k.size(1) if left < 0 else left), None

    q, k, v = draw(2, torch.float32)
    out = flash.attend_flash(documented, q[:, -num:], k, v, window=window)
    assert torch.equal(out, plain(q[:, -num:], k, v, window))


def test_block_masks_are_those_that_torch_makes_from_all_positions() -> None:
    from torch.nn.attention.flex_attention import create_block_mask

    from core.attention.flex import sliding_window

    device = torch.device("cpu")
    for length in (128, 300, 1024):
        for window in (0, 1, 127, 128, 200, 255, 256, 512):
            ours = sliding_window(length, window, device)
            torch_own = create_block_mask(
                ours.mask_mod, None, None, length, length, device=str(device)
            )
            assert torch.equal(ours.to_dense(), torch_own.to_dense()), (length, window)
            # torch takes the rows that a last block lacks for hidden, and never skips its mask.
            if length % 128 == 0:
                full = ours.full_kv_num_blocks, torch_own.full_kv_num_blocks
                assert torch.equal(*full), (length, window)  # type: ignore[arg-type]


def test_a_block_never_meets_a_mask_of_all_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = torch.nn.functional.scaled_dot_product_attention

    def watched(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        if options["attn_mask"] is not None:
            seen.append(options["attn_mask"].numel())
        return real(q, k, v, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    x = torch.randn(1, 2048, 1, 16)
    attend_in_blocks(x, x, x, window=512)
    assert seen
    assert max(seen) == 512 * 1024


@pytest.mark.parametrize(
    ("able", "dtype", "expected"),
    [
        ({}, torch.bfloat16, "flash"),
        ({}, torch.float32, "flex"),
        ({"has_flash": False}, torch.bfloat16, "flex"),
        ({"capability": (8, 0)}, torch.bfloat16, "flex"),
        ({"capability": (10, 0)}, torch.bfloat16, "flex"),
        ({"capability": (7, 5)}, torch.float16, "sdpa"),
        ({"has_flash": False, "has_triton": False}, torch.bfloat16, "sdpa"),
        ({"device_type": "cpu", "capability": None}, torch.bfloat16, "sdpa"),
        ({"device_type": "mps", "capability": None}, torch.float32, "sdpa"),
    ],
)
def test_auto_takes_the_best_backend_that_is_there(
    able: dict[str, object], dtype: torch.dtype, expected: str
) -> None:
    assert choose_backend("auto", hopper(**able), dtype) == expected


@pytest.mark.parametrize(
    ("setting", "able", "reason"),
    [
        ("flash", {"device_type": "cpu", "capability": None}, "needs an NVIDIA GPU"),
        ("flash", {"capability": (8, 6)}, "needs a Hopper GPU"),
        ("flash", {"has_flash": False}, "is not installed"),
        ("flex", {"device_type": "cpu", "capability": None}, "needs an NVIDIA GPU"),
        ("flex", {"capability": (7, 0)}, "compute capability"),
        ("flex", {"has_triton": False}, "triton"),
    ],
)
def test_a_backend_that_is_not_there_is_one_line(
    setting: AttentionChoice, able: dict[str, object], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason) as error:
        choose_backend(setting, hopper(**able), torch.bfloat16)
    assert "\n" not in str(error.value)


def hopper(**changes: object) -> Abilities:
    values = {
        "device_type": "cuda", "capability": (9, 0), "has_flash": True, "has_triton": True,
    }  # fmt: skip
    return Abilities(**{**values, **changes})  # type: ignore[arg-type]


def test_windowed_training_compiles_without_a_graph_break() -> None:
    model = GPT(tiny_config(sequence_len=512, num_layers=2, window_pattern="SL"))
    model.init_weights(torch.Generator().manual_seed(0))
    idx = torch.randint(0, 300, (1, 512), generator=torch.Generator().manual_seed(1))
    compiled = torch.compile(summed_loss, dynamic=False, fullgraph=True, backend="aot_eager")
    loss = compiled(model, *model.embed(idx), idx)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(
        float(summed_loss(model, *model.embed(idx), idx).detach()), rel=1e-5
    )


def test_flex_masks_are_found_inside_compiled_code() -> None:
    model = GPT(tiny_config(sequence_len=512, num_layers=2, window_pattern="SL"))
    model.init_weights(torch.Generator().manual_seed(0))
    idx = torch.randint(0, 300, (1, 512), generator=torch.Generator().manual_seed(1))
    expected = float(summed_loss(model, *model.embed(idx), idx).detach())
    model.attend = Attend("flex")
    embedded = model.embed(idx)
    compiled = torch.compile(summed_loss, dynamic=False, fullgraph=True, backend="aot_eager")
    # torch has no backward pass of FlexAttention on a CPU.
    with torch.no_grad():
        assert float(compiled(model, *embedded, idx)) == pytest.approx(expected, rel=1e-5)


def test_rows_of_other_lengths_that_are_only_measured_build_no_flex_kernels() -> None:
    model = GPT(tiny_config(sequence_len=512, num_layers=2, window_pattern="SL"))
    model.init_weights(torch.Generator().manual_seed(0))
    idx = torch.randint(0, 300, (1, 400), generator=torch.Generator().manual_seed(1))
    expected = model(idx)
    attend = Attend("flex")

    def refused(*args: object, **kwargs: object) -> Tensor:
        raise AssertionError("a kernel of its own")

    from core.attention.flex import SlidingFlex

    attend._flex = SlidingFlex(refused)
    model.attend = attend
    with torch.no_grad():
        torch.testing.assert_close(model(idx), expected)
    with pytest.raises(AssertionError, match="a kernel of its own"):
        model(idx)

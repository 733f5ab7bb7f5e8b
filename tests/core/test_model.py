"""The model: parameter counts, initialisation, causality, features, loss and bits per byte."""

from __future__ import annotations

import math

import pytest
import torch

from core.config import BaseConfig, ModelConfig
from core.loss import IGNORED, bits_per_byte, summed_loss
from core.model import GPT
from core.scaling import count_params, flops_per_token, model_config
from runs.errors import UsageError
from tests.core.builders import tiny_config


def build(config: ModelConfig, seed: int = 0) -> GPT:
    model = GPT(config)
    model.init_weights(torch.Generator().manual_seed(seed))
    return model


def stirred(config: ModelConfig) -> GPT:
    """Return a model whose zero-initialised parts are not zero."""
    model = build(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize(
    ("depth", "total", "scaling", "flops"),
    [
        (4, 36_700_242, 11_534_384, 8.02e7),
        (12, 286_261_730, 110_100_912, 7.597e8),
        (24, 1_384_122_122, 729_810_624, 4.775e9),
        (32, 2_818_575_450, 1_677_724_672, 1.077e10),
    ],
)
def test_current_counts_agree_with_the_reference(
    depth: int, total: int, scaling: int, flops: float
) -> None:
    base = BaseConfig(
        depth=depth, head_dim=128, sequence_len=2048, window_pattern="SSSL", num_iterations=1
    )
    config = model_config(base, 32_768)
    assert count_params(config).total == total
    assert count_params(config).scaling == scaling
    assert flops_per_token(config) == pytest.approx(flops, rel=1e-3)


def test_classic_d20_has_the_published_number_of_parameters() -> None:
    base = BaseConfig(arch="classic", depth=20, head_dim=128, sequence_len=2048, num_iterations=1)
    assert count_params(model_config(base, 65_536)).total == 560_988_160


@pytest.mark.parametrize("arch", ["current", "classic"])
def test_closed_form_counts_agree_with_the_model(arch: str) -> None:
    base = BaseConfig(arch=arch, depth=3, head_dim=32, sequence_len=64, num_iterations=1)  # type: ignore[arg-type]
    config = model_config(base, 777)
    with torch.device("meta"):
        model = GPT(config)
    assert count_params(config).total == sum(p.numel() for p in model.parameters())


def test_init_writes_every_parameter_and_buffer() -> None:
    with torch.device("meta"):
        model = GPT(tiny_config())
    model.to_empty(device="cpu")
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.fill_(math.nan)
    model.init_weights(torch.Generator().manual_seed(0))
    named = (*model.named_parameters(), *model.named_buffers())
    assert [name for name, tensor in named if not torch.isfinite(tensor).all()] == []


def test_init_has_the_published_spread_of_every_tensor() -> None:
    model = build(tiny_config(n_embd=64, num_layers=3, vocab_size=1024))
    deviation = 1 / math.sqrt(64)
    expected = {
        "wte.weight": 0.8,
        "head.weight": 0.001,
        "value_embeds": deviation,
        "mlp.fc.weight": 0.4 * deviation,
    }
    seen = set()
    for name, tensor in model.named_parameters():
        parameter = tensor.detach()
        key = next((key for key in expected if key in name), None)
        if key is None or parameter.numel() < 1000:
            continue
        seen.add(key)
        assert float(parameter.std()) == pytest.approx(expected[key], rel=0.05), name
    assert seen == set(expected)
    # Uniform, so that nothing is further out than sqrt(3) deviations.
    fc = model.get_parameter("blocks.0.mlp.fc.weight").detach()
    assert float(fc.abs().max()) <= 0.4 * deviation * math.sqrt(3)
    assert model.resid_lambdas.tolist() == pytest.approx([1.15, 1.10, 1.05])
    assert model.x0_lambdas.tolist() == pytest.approx([0.20, 0.125, 0.05])
    assert float(model.smear_lambda.detach()) == 0
    assert float(model.backout_lambda.detach()) == pytest.approx(0.2)


def test_logits_never_leave_the_softcap() -> None:
    model = build(tiny_config())
    with torch.no_grad():
        model.get_parameter("head.weight").mul_(1e6)
    logits = model(torch.arange(32)[None])
    assert float(logits.abs().max()) == pytest.approx(15)


def test_same_seed_gives_the_same_weights() -> None:
    first, second = build(tiny_config(), seed=3), build(tiny_config(), seed=3)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_token_changes_nothing_before_it() -> None:
    model = stirred(tiny_config(window_pattern="SL"))
    idx = torch.randint(0, 300, (1, 32), generator=torch.Generator().manual_seed(1))
    changed = idx.clone()
    changed[0, 20] = (changed[0, 20] + 1) % 300
    before, after = model(idx), model(changed)
    assert torch.allclose(before[:, :20], after[:, :20], atol=1e-6)
    assert not torch.allclose(before[:, 20:], after[:, 20:], atol=1e-4)


@pytest.mark.parametrize("feature", ["value_embeds", "residual_scalars", "smear", "backout"])
def test_every_feature_can_be_switched_off_and_matters(feature: str) -> None:
    idx = torch.arange(32)[None]
    # Three layers: in two, the middle layer is the last, and backout a mere factor.
    whole = stirred(tiny_config(num_layers=3))
    without = stirred(tiny_config(num_layers=3, **{feature: False}))
    without.load_state_dict(whole.state_dict(), strict=False)
    assert not torch.allclose(whole(idx), without(idx), atol=1e-5)


def test_short_windows_hide_what_is_further_back() -> None:
    config = ModelConfig(
        vocab_size=300, sequence_len=512, num_layers=2, num_heads=1, num_kv_heads=1, n_embd=16,
        window_pattern="S",
    )  # fmt: skip
    assert [config.window(layer) for layer in range(2)] == [128, 512]


def test_untrained_loss_is_log_of_the_vocabulary() -> None:
    model = build(tiny_config())
    idx = torch.arange(33)[None]
    loss = summed_loss(model, *model.embed(idx[:, :-1]), idx[:, 1:]) / 32
    assert float(loss.detach()) == pytest.approx(math.log(300), abs=0.01)


def test_ignored_targets_have_no_gradient() -> None:
    model = stirred(tiny_config())
    idx = torch.arange(32)[None]
    targets = torch.full_like(idx, IGNORED)
    targets[0, 3] = 7
    summed_loss(model, *model.embed(idx), targets).backward()
    gradient = model.wte.weight.grad
    assert gradient is not None
    assert gradient[:4].abs().sum() > 0
    assert gradient[4:].abs().sum() == 0


def test_bits_per_byte_counts_raw_bytes_and_no_specials() -> None:
    model = build(tiny_config())
    with torch.no_grad():
        model.head.weight.zero_()
    token_bytes = torch.full((300,), 2, dtype=torch.int32)
    token_bytes[299] = 0
    idx = torch.zeros(1, 4, dtype=torch.long)
    targets = torch.tensor([[5, 6, 299, IGNORED]])
    bpb = bits_per_byte(model, [(idx, targets)], token_bytes)
    assert bpb == pytest.approx(math.log2(300) / 2, rel=1e-6)
    assert bits_per_byte(model, [], token_bytes) == math.inf


@pytest.mark.parametrize("changes", [{"num_heads": 5}, {"window_pattern": "XS"}, {"n_embd": 6}])
def test_impossible_shapes_are_usage_errors(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        tiny_config(**changes)

"""The model: parameter counts, its formulas, causality, features, loss and checkpointing."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor

from core.config import ModelConfig
from core.loss import IGNORED, bits_per_byte, summed_loss
from core.model import GPT
from core.scaling import checkpoint_bytes, count_params, model_config, training_memory_bytes
from core.settings.training import BaseConfig
from runs.errors import UsageError
from tests.core.builders import tiny_config
from tests.core.naive_gpt import naive_logits


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


def full_size(arch: str, depth: int, vocab_size: int, **settings: Any) -> ModelConfig:
    """Return a model of the published tables, with rows of 2,048 tokens unless told."""
    values = {"head_dim": 128, "sequence_len": 2048, "window_pattern": "SSSL", **settings}
    base = BaseConfig(arch=arch, depth=depth, num_iterations=1, **values)  # type: ignore[arg-type]
    return model_config(base, vocab_size)


CLASSIC = {
    4: 36_700_160, 6: 60_948_480, 8: 92_274_688, 12: 185_597_952, 20: 560_988_160,
    24: 880_803_840, 26: 1_081_999_360, 32: 1_879_048_192, 34: 2_217_082_880,
}  # fmt: skip
CURRENT = {
    4: 36_700_242, 6: 73_531_538, 8: 125_829_354, 12: 286_261_730, 16: 536_871_738,
    20: 896_533_746, 24: 1_384_122_122, 26: 1_681_786_938, 32: 2_818_575_450,
}  # fmt: skip
CURRENT_64K = {
    4: 70_254_674, 6: 136_446_098, 8: 226_492_650, 12: 487_588_322, 20: 1_399_850_226,
    24: 2_088_765_194, 26: 2_499_676_218, 32: 4_026_535_002,
}  # fmt: skip
NARROW_HEADS = {"head_dim": 64, "sequence_len": 512, "window_pattern": "L"}
PUBLISHED = [
    *((full_size("classic", depth, 65_536), total) for depth, total in CLASSIC.items()),
    *((full_size("current", depth, 32_768), total) for depth, total in CURRENT.items()),
    *((full_size("current", depth, 65_536), total) for depth, total in CURRENT_64K.items()),
    (full_size("current", 4, 32_768, **NARROW_HEADS), 36_700_290),
    (full_size("current", 6, 32_768, **NARROW_HEADS), 73_531_646),
    (full_size("current", 8, 32_768, **NARROW_HEADS), 125_829_546),
    # nanochat's d2 has a backout, which in two layers the last norm undoes: ours has none.
    (full_size("current", 2, 8192, **NARROW_HEADS), 3_538_998 - 1),
    (full_size("current", 4, 8192, **NARROW_HEADS), 11_534_466),
    (full_size("current", 6, 8192, **NARROW_HEADS), 26_345_726),
    (full_size("current", 8, 8192, **NARROW_HEADS), 50_332_074),
]


@pytest.mark.parametrize(
    ("config", "total"), PUBLISHED, ids=lambda x: str(x) if isinstance(x, int) else x.init
)
def test_built_models_have_the_published_number_of_parameters(
    config: ModelConfig, total: int
) -> None:
    with torch.device("meta"):
        model = GPT(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == total
    assert count_params(config).total == total


@pytest.mark.parametrize("settings", [{}, {"kv_ratio": 3}, {"aspect_ratio": 4, "head_dim": 4}])
@pytest.mark.parametrize("arch", ["current", "classic"])
def test_counts_by_group_agree_with_the_built_model(arch: str, settings: dict[str, int]) -> None:
    values = {"head_dim": 32, "sequence_len": 64, **settings}
    config = full_size(arch, 3, 777, **values)
    with torch.device("meta"):
        model = GPT(config)
    counts = count_params(config)
    assert counts.token_embedding == model.wte.weight.numel()
    assert counts.head == model.head.weight.numel()
    assert counts.value_embeds == sum(p.numel() for p in model.value_embeds.parameters())
    assert counts.matrices == sum(p.numel() for p in model.blocks.parameters())
    assert counts.total == sum(p.numel() for p in model.parameters())


def test_odd_depths_are_rounded_up_to_whole_heads() -> None:
    config = full_size("current", 5, 32_768)
    assert (config.n_embd, config.num_heads) == (384, 3)


@pytest.mark.parametrize("window_pattern", ["L", "SL"])
@pytest.mark.parametrize("num_kv_heads", [2, 1])
@pytest.mark.parametrize("arch", ["current", "classic"])
def test_forward_pass_follows_the_published_formulas(
    arch: str, num_kv_heads: int, window_pattern: str
) -> None:
    features = {} if arch == "current" else {
        "rope_base": 10_000.0, "qk_scale": 1.0, "value_embeds": False, "residual_scalars": False,
        "smear": False, "backout": False, "init": "classic",
    }  # fmt: skip
    config = tiny_config(
        sequence_len=160, num_layers=4, num_kv_heads=num_kv_heads, window_pattern=window_pattern,
        **features,
    )  # fmt: skip
    model = stirred(config)
    ids = torch.randint(0, 300, (160,), generator=torch.Generator().manual_seed(2))
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    expected = naive_logits(config, weights, ids.tolist())
    with torch.no_grad():
        logits = model(ids[None])[0].double().numpy()
    assert logits.shape == (160, 300)
    assert abs(logits - expected).max() < 2e-3 * abs(expected).max()


def test_a_padded_vocabulary_gets_no_probability() -> None:
    config = tiny_config(vocab_size=257)
    model = stirred(config)
    with torch.no_grad():
        # Rows past the vocabulary would win if they took part.
        model.head.weight[257:] = 100.0
    assert config.padded_vocab_size == 320
    logits = model(torch.arange(32)[None])
    assert logits.size(-1) == 257
    assert model.wte.weight.size(0) == model.head.weight.size(0) == 320


def test_a_model_narrower_than_its_gates_trains() -> None:
    config = tiny_config(n_embd=16, num_layers=3)
    model = stirred(config)
    assert model.smear_gate.weight.shape == (1, 16)
    idx = torch.arange(32)[None]
    summed_loss(model, *model.embed(idx), idx).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_checkpointing_gives_the_same_loss_and_gradients_to_the_bit_from_less_memory() -> None:
    model = stirred(tiny_config(sequence_len=64, num_layers=6, window_pattern="SL"))
    idx = torch.randint(0, 300, (2, 64), generator=torch.Generator().manual_seed(1))

    def step() -> tuple[list[Tensor], int]:
        kept: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        model.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = summed_loss(model, *model.embed(idx), idx)
        num_kept = sum(kept.values())
        loss.backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        return [loss.detach(), *gradients], num_kept

    plain, plain_bytes = step()
    model.is_checkpointing = True
    again, again_bytes = step()
    assert len(plain) == len(again) == 1 + len(list(model.parameters()))
    for one, other in zip(plain, again, strict=True):
        assert torch.equal(one, other)
    assert again_bytes < plain_bytes / 2


def test_checkpointing_is_planned_with_less_memory() -> None:
    config = full_size("current", 24, 32_768)
    plain = training_memory_bytes(config, 16)
    again = training_memory_bytes(config, 16, is_checkpointing=True)
    # Weights, gradients, moments and a chunk of logits stay; of the activations of 24 layers
    # little more than those of one.
    fixed = 4 * count_params(config).total + checkpoint_bytes(config)
    fixed += 3 * 2**29
    assert fixed < again < fixed + (plain - fixed) / 10


def test_checkpointing_compiles_without_a_graph_break() -> None:
    model = stirred(tiny_config(num_layers=3))
    model.is_checkpointing = True
    idx = torch.arange(32)[None]
    compiled = torch.compile(summed_loss, dynamic=False, fullgraph=True, backend="aot_eager")
    loss = compiled(model, *model.embed(idx), idx)
    loss.backward()
    model.is_checkpointing = False
    plain = summed_loss(model, *model.embed(idx), idx)
    assert float(loss.detach()) == pytest.approx(float(plain.detach()), rel=1e-5)


def test_meta_of_an_older_checkpoint_still_makes_a_config() -> None:
    stored = asdict(tiny_config())
    del stored["init"]
    assert ModelConfig(**stored) == tiny_config()


def test_logits_never_leave_the_softcap() -> None:
    model = build(tiny_config())
    with torch.no_grad():
        model.get_parameter("head.weight").mul_(1e6)
    logits = model(torch.arange(32)[None])
    assert float(logits.abs().max()) == pytest.approx(15)


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

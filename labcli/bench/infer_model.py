"""A model with random weights and prompts to ask it with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runs.errors import UsageError

if TYPE_CHECKING:
    from core.model import GPT
    from core.tokenizer import Tokenizer


def random_model(depth: int, vocab_size: int, device: str = "cpu") -> tuple[GPT, Tokenizer]:
    """Return a model with the shape of a preset's and random weights, and ids to ask it with.

    It never picks a special token, so every answer has its full length.
    """
    import torch

    from core.config import build_stage_config
    from core.device import pick_device
    from core.model import GPT
    from core.scaling import model_config
    from core.settings.training import BaseConfig
    from core.tokenizer import Tokenizer

    config = build_stage_config("base", {"depth": depth, "num_iterations": 1})
    assert isinstance(config, BaseConfig)
    tokens = [bytes([byte]) for byte in range(256)]
    num_more = vocab_size - 256 - Tokenizer.num_specials
    if num_more < 0:
        raise UsageError(f"--vocab-size must be {256 + Tokenizer.num_specials} or more")
    tokens += [b"\xff" + index.to_bytes(3, "big") for index in range(num_more)]
    tokenizer = Tokenizer.from_tokens(tokens, pattern=r"\S+|\s+")
    model = GPT(model_config(config, vocab_size))
    generator = torch.Generator().manual_seed(0)
    model.init_weights(generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
        model.head.weight[vocab_size - Tokenizer.num_specials :] = 0
    return model.to(pick_device(device)), tokenizer


def prompts_of(tokenizer: Tokenizer, length: int, batch: int) -> list[list[int]]:
    """Return as many prompts of that length."""
    # Rows differ, so that no row can take over what another one has stored.
    step = max(1, tokenizer.vocab_size // 7)
    return [
        [(1 + 31 * row + step * place) % 256 for place in range(length)] for row in range(batch)
    ]

"""Bits per byte of a model over the first rows of a validation split."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from core.data.packing import validation_batches
from core.data.tokens import TokenSplit
from core.loss import bits_per_byte
from core.model import GPT
from core.tokenizer import Tokenizer


def validation_bpb(
    model: GPT,
    tokenizer: Tokenizer,
    validation: TokenSplit,
    *,
    num_tokens: int,
    batch_size: int,
    stop: Callable[[], bool] = lambda: False,
) -> float:
    """Return bits per byte over always the same rows; of those before `stop`, if it comes."""
    device = model.wte.weight.device

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for ids, targets in validation_batches(
            validation,
            row_len=model.config.sequence_len,
            pad=tokenizer.bos,
            num_tokens=num_tokens,
            batch_size=batch_size,
        ):
            if stop():
                return
            yield torch.from_numpy(ids).to(device), torch.from_numpy(targets).to(device)

    token_bytes_V = torch.from_numpy(tokenizer.token_bytes_lengths()).to(device)
    return bits_per_byte(model, batches(), token_bytes_V)

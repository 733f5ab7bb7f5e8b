"""Bits per byte of a model over the first rows, or whole documents, of a validation split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from core.data.packing import validation_batches
from core.data.tokens import Ints, TokenSplit
from core.data.windows import count_documents, window_batches
from core.loss import bits_per_byte
from core.model import GPT
from core.ranks import Ranks
from core.tokenizer import Tokenizer


def validation_bpb(
    model: GPT,
    tokenizer: Tokenizer,
    validation: TokenSplit,
    *,
    num_tokens: int,
    batch_size: int,
    num_bytes: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    ranks: Ranks | None = None,
) -> float:
    """Return bits per byte over always the same text; of what came before `stop`, if it comes.

    The text is `num_tokens` tokens in packed rows or, given `num_bytes`, the first whole documents
    of so many bytes, which do not depend on the tokenizer. Given `ranks`, all of them have to
    call this: batch i is computed by rank i mod W, and every rank gets the same figure.
    """
    device = model.wte.weight.device
    row_len, pad = model.config.sequence_len, tokenizer.bos
    token_bytes_V = tokenizer.token_bytes_lengths()

    def rows() -> Iterator[tuple[Ints, Ints]]:
        if num_bytes is None:
            return validation_batches(
                validation, row_len=row_len, pad=pad, num_tokens=num_tokens, batch_size=batch_size
            )
        return window_batches(
            validation,
            num_documents=count_documents(validation, token_bytes_V.astype(np.int64), num_bytes),
            row_len=row_len,
            pad=pad,
            batch_size=batch_size,
        )

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        rank, world_size = (0, 1) if ranks is None else (ranks.rank, ranks.world_size)
        for ids, targets in islice(rows(), rank, None, world_size):
            if stop():
                return
            yield torch.from_numpy(ids).to(device), torch.from_numpy(targets).to(device)

    bytes_V = torch.from_numpy(token_bytes_V).to(device)
    return bits_per_byte(model, batches(), bytes_V, ranks=ranks)


def measured_text(val_sha256: str, num_bytes: int | None) -> str:
    """Return the hash that names what was measured: figures over other text do not compare."""
    if num_bytes is None:
        return val_sha256
    return hashlib.sha256(f"{val_sha256} {num_bytes} bytes of documents".encode()).hexdigest()

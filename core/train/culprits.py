"""Which documents a step was made of, and which of its rows break the numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from core.data.packing import Rows
from core.loss import summed_loss
from core.model import GPT
from core.ranks import Ranks

MAX_NAMED = 4


def breaking_rows(
    model: GPT, rows: Rows, *, first_row: int, num_rows: int, ranks: Ranks
) -> list[int]:
    """Return the rows whose loss or gradient alone is not finite; equal on all ranks.

    Every rank tries its own rows, one by one, and all have to call this. Gradients are lost.
    """
    is_bad = torch.zeros(num_rows, device=ranks.device)
    for offset in range(ranks.rank, num_rows, ranks.world_size):
        is_bad[offset] = not _is_finite(model, rows, first_row + offset)
    ranks.sum_in_place(is_bad)
    return [first_row + offset for offset in is_bad.nonzero().flatten().tolist()]


def _is_finite(model: GPT, rows: Rows, index: int) -> bool:
    device = model.wte.weight.device
    idx_BT, targets_BT = (torch.from_numpy(array).to(device) for array in rows.batch(index, 1))
    model.zero_grad(set_to_none=True)
    x_BTC, value_embeds = model.embed(idx_BT)
    loss = summed_loss(model, x_BTC, value_embeds, targets_BT)
    loss.backward()
    tensors: list[Tensor] = [loss, *(p.grad for p in model.parameters() if p.grad is not None)]
    is_finite = all(bool(tensor.isfinite().all()) for tensor in tensors)
    model.zero_grad(set_to_none=True)
    return is_finite


def batch_report(rows: Rows, *, first_row: int, num_rows: int, **facts: Any) -> str:
    """Return JSON that tells the rows of a step with the documents in each, and some facts."""
    body = {
        "v": 1,
        **facts,
        "rows": [
            {"row": row, "documents": [asdict(ref) for ref in rows.documents(row)]}
            for row in range(first_row, first_row + num_rows)
        ],
    }
    return json.dumps(body, indent=1, allow_nan=False) + "\n"


def named_documents(rows: Rows, culprits: Sequence[int]) -> str:
    """Return the documents of some rows in words, a few of many."""
    names = []
    for row in culprits:
        for ref in rows.documents(row):
            where = "" if ref.shard is None else f" of {ref.shard}"
            names.append(f"document {ref.document}{where}")
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more

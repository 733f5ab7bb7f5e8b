"""Picking the next token of every row, each from its own seed and settings.

Shapes: B rows, N new tokens at most, V vocabulary, K candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.engine.request import Request


class Sampler:
    """Samples for a fixed batch of requests; a row's draws depend on its own seed alone."""

    def __init__(self, requests: Sequence[Request], device: torch.device) -> None:
        # One uniform number per row and step, drawn up front: no generator call per row and
        # step, and the numbers are the same on every device.
        num_steps = max(request.max_new_tokens for request in requests)
        uniform_NB = torch.zeros(num_steps, len(requests))
        rows_by_settings: dict[tuple[float, int | None, float | None], list[int]] = {}
        for row, request in enumerate(requests):
            if request.temperature == 0:
                continue
            generator = torch.Generator().manual_seed(request.seed)
            draws_N = torch.rand(request.max_new_tokens, generator=generator)
            uniform_NB[: request.max_new_tokens, row] = draws_N
            settings = (request.temperature, request.top_k, request.top_p)
            rows_by_settings.setdefault(settings, []).append(row)
        self._uniform_NB = uniform_NB.to(device)
        self._groups = [
            (settings, torch.tensor(rows, device=device))
            for settings, rows in rows_by_settings.items()
        ]

    def pick(self, logits_BV: Tensor, step: int) -> Tensor:
        """Return the id that each row takes at a step, (B,)."""
        ids_B = logits_BV.argmax(dim=-1)
        for (temperature, top_k, top_p), rows_R in self._groups:
            ids_B[rows_R] = draw(
                logits_BV[rows_R],
                self._uniform_NB[step, rows_R],
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
            )
        return ids_B


def draw(
    logits_BV: Tensor,
    uniform_B: Tensor,
    *,
    temperature: float,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """Return the ids at which the summed probability of the allowed tokens reaches uniform_B.

    top_k keeps the k likeliest tokens; top_p then keeps the fewest of them that hold at least
    that share of their probability (nucleus sampling, arXiv 1904.09751).
    """
    num_candidates = min(top_k or logits_BV.size(-1), logits_BV.size(-1))
    top_BK, ids_BK = logits_BV.topk(num_candidates, dim=-1)
    probs_BK = torch.softmax(top_BK / temperature, dim=-1)
    if top_p is not None:
        before_BK = probs_BK.cumsum(dim=-1) - probs_BK
        probs_BK = probs_BK.masked_fill(before_BK >= top_p, 0)
    cdf_BK = probs_BK.cumsum(dim=-1)
    threshold_B1 = uniform_B[:, None] * cdf_BK[:, -1:]
    # Strictly below: the pick is then never a token of probability 0, at either end.
    picked_B1 = (cdf_BK < threshold_B1).sum(dim=-1, keepdim=True)
    return ids_BK.gather(-1, picked_B1.clamp(max=num_candidates - 1)).squeeze(-1)

"""Picking the next token of every row, each from its own seed and settings.

Shapes: B rows of a step, R rows that are sampled together, V vocabulary, K candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.device import exact_dtype
from core.engine.candidates import argmax, top
from core.engine.request import Request

# Rows are sampled together when the same one of these bounds their candidates: a row's sums
# then have a width that its own settings alone decide.
CANDIDATES = (64, 256, 1024)
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Settings of R rows as columns, (R, 1); a row without a filter has its neutral value."""

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor

    @classmethod
    def of(cls, requests: Sequence[Request], device: torch.device) -> Filters:
        """Return the settings of requests."""
        inf = float("inf")
        rows = [(r.temperature, r.top_k or inf, r.top_p or 1.0, r.min_p or 0.0) for r in requests]
        columns = torch.tensor(rows, device=device, dtype=torch.float32).t()[:, :, None]
        return cls(temperature=columns[0], top_k=columns[1], top_p=columns[2], min_p=columns[3])


class Sampler:
    """Samples for the rows of a step; None stands for a row of padding.

    Args:
        histories: for each row the ids of its prompt and answer so far.
        softcap: raw logits l stand for softcap * tanh(l / softcap); None: for themselves.
    """

    def __init__(
        self,
        requests: Sequence[Request | None],
        device: torch.device,
        *,
        histories: Sequence[Sequence[int]] = (),
        softcap: float | None = None,
        vocab_size: int = 0,
    ) -> None:
        self._requests = tuple(requests)
        self._device = device
        self._softcap = softcap
        groups: dict[int | None, list[int]] = {}
        for row, request in enumerate(requests):
            if request is not None and request.temperature > 0:
                groups.setdefault(_num_candidates(request), []).append(row)
        self._groups = [
            (num, rows, Filters.of([r for row in rows if (r := requests[row])], device))
            for num, rows in groups.items()
        ]
        self._penalised = [
            row for row, r in enumerate(requests) if r is not None and r.repetition_penalty != 1
        ]
        self._is_greedy = [r is not None and r.temperature == 0 for r in requests]
        if self._penalised:
            self._penalties = torch.tensor(
                [[r.repetition_penalty] for r in requests if r and r.repetition_penalty != 1],
                device=device,
            )
            self._seen_RV = torch.zeros(
                len(self._penalised), vocab_size, dtype=torch.bool, device=device
            )
            for index, row in enumerate(self._penalised):
                self._seen_RV[index, torch.tensor(list(histories[row]), device=device)] = True

    def pick(self, raw_BV: Tensor, steps: Sequence[int]) -> list[int]:
        """Return the id that each row takes; steps[b] is the number of tokens it has taken."""
        logits_BV = self._penalise(raw_BV) if self._penalised else raw_BV
        # The soft cap keeps the order, so greedy rows need none.
        ids = argmax(logits_BV) if any(self._is_greedy) else [0] * len(self._requests)
        for num_candidates, rows, filters in self._groups:
            logits_RV = logits_BV[rows] if len(rows) < len(logits_BV) else logits_BV
            if not self._penalised:
                logits_RV = self._capped(logits_RV)
            draws = [uniform(self._seed(row), steps[row]) for row in rows]
            exact = exact_dtype(self._device)
            uniform_R = torch.tensor(draws, dtype=exact, device=self._device)
            drawn_R = draw(logits_RV, uniform_R, filters, num_candidates)
            for row, token_id in zip(rows, drawn_R.tolist(), strict=True):
                ids[row] = token_id
        return ids

    def observe(self, ids: Sequence[int]) -> None:
        """Take note of the ids that the rows took, for the repetition penalty."""
        if self._penalised:
            taken = torch.tensor([ids[row] for row in self._penalised], device=self._device)
            self._seen_RV.scatter_(1, taken[:, None], True)

    def _seed(self, row: int) -> int:
        request = self._requests[row]
        assert request is not None
        return request.seed

    def _capped(self, logits_BV: Tensor) -> Tensor:
        if self._softcap is None:
            return logits_BV.float()
        return torch.tanh(logits_BV.float() / self._softcap).mul_(self._softcap)

    def _penalise(self, raw_BV: Tensor) -> Tensor:
        logits_BV = self._capped(raw_BV).clone()
        own_RV = logits_BV[self._penalised]
        lowered_RV = torch.where(own_RV > 0, own_RV / self._penalties, own_RV * self._penalties)
        logits_BV[self._penalised] = torch.where(self._seen_RV, lowered_RV, own_RV)
        return logits_BV


def draw(
    logits_RV: Tensor, uniform_R: Tensor, filters: Filters, num_candidates: int | None
) -> Tensor:
    """Return the ids at which the summed probability of the allowed tokens passes uniform_R.

    top_k keeps the k likeliest tokens; top_p then keeps the fewest of them that hold at least
    that share of their probability (nucleus sampling, arXiv 1904.09751); min_p then keeps those
    of at least that share of the likeliest one's probability (arXiv 2407.01082).

    Args:
        num_candidates: look at so many likeliest tokens only, in order; None: at all, unsorted,
            which rows may ask for that have neither top_k nor top_p.
    """
    scaled_RV = logits_RV / filters.temperature
    if num_candidates is None:
        probs_RV = torch.softmax(scaled_RV, dim=-1)
        largest_R1 = probs_RV.amax(dim=-1, keepdim=True)
        return _invert(_at_least(probs_RV, filters.min_p * largest_R1), uniform_R)
    top_RK, ids_RK = top(scaled_RV, num_candidates)
    ranks_K = torch.arange(top_RK.size(1), device=top_RK.device)
    kept_RK = top_RK.masked_fill(ranks_K >= filters.top_k, -torch.inf)
    probs_RK = torch.softmax(kept_RK, dim=-1)
    has_top_k_R1 = filters.top_k < torch.inf
    if num_candidates < logits_RV.size(1):
        # Without top_k the shares are of the whole vocabulary, not of the candidates.
        share_R1 = (top_RK.logsumexp(-1, True) - scaled_RV.logsumexp(-1, True)).exp()
        probs_RK = torch.where(has_top_k_R1, probs_RK, probs_RK * share_R1)
        is_short_R = ~has_top_k_R1[:, 0] & (probs_RK.sum(-1) < filters.top_p[:, 0])
        if bool(is_short_R.any()):
            return _draw_with_all(logits_RV, uniform_R, filters, num_candidates, is_short_R)
    before_RK = probs_RK.cumsum(dim=-1) - probs_RK
    probs_RK = probs_RK.masked_fill(before_RK >= filters.top_p, 0)
    probs_RK = _at_least(probs_RK, filters.min_p * probs_RK[:, :1])
    return ids_RK.gather(-1, _invert(probs_RK, uniform_R)[:, None]).squeeze(-1)


def _draw_with_all(
    logits_RV: Tensor, uniform_R: Tensor, filters: Filters, num_candidates: int, is_short_R: Tensor
) -> Tensor:
    """Return draws of rows, some of which have a nucleus larger than their candidates."""
    ids_R = torch.empty(len(uniform_R), dtype=torch.long, device=uniform_R.device)
    for chosen_R, num in ((is_short_R, logits_RV.size(1)), (~is_short_R, num_candidates)):
        if bool(chosen_R.any()):
            part = Filters(
                temperature=filters.temperature[chosen_R],
                top_k=filters.top_k[chosen_R],
                top_p=filters.top_p[chosen_R],
                min_p=filters.min_p[chosen_R],
            )
            ids_R[chosen_R] = draw(logits_RV[chosen_R], uniform_R[chosen_R], part, num)
    return ids_R


def uniform(seed: int, step: int) -> float:
    """Return the number in [0, 1) that a request of a seed draws at a step.

    SplitMix64 (Steele et al., OOPSLA 2014) of seed and step: no state, so no other row and no
    device can change it. 32 bits, so that its product with a sum stays below that sum.
    """
    return _mix(_mix(seed) + step) / 2**32


def _mix(value: int) -> int:
    z = (value * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) >> 32


def _num_candidates(request: Request) -> int | None:
    """Return how many likeliest tokens a row's draw looks at, None for all of them."""
    if request.top_k is None and (request.top_p is None or request.top_p == 1):
        return None
    needed = CANDIDATES[-1] if request.top_k is None else request.top_k
    return next((num for num in CANDIDATES if num >= needed), 1 << (needed - 1).bit_length())


def _at_least(probs_RK: Tensor, floor_R1: Tensor) -> Tensor:
    return probs_RK.masked_fill(probs_RK < floor_R1, 0)


def _invert(probs_RK: Tensor, uniform_R: Tensor) -> Tensor:
    """Return the first index whose summed probability is above that share of the whole."""
    cdf_RK = probs_RK.cumsum(dim=-1, dtype=exact_dtype(probs_RK.device))
    threshold_R1 = uniform_R[:, None].to(cdf_RK.dtype) * cdf_RK[:, -1:]
    found_R1 = torch.searchsorted(cdf_RK, threshold_R1, right=True)
    # In float32 the product may round up to the sum itself, which no index is above.
    return found_R1.clamp_(max=cdf_RK.size(-1) - 1).squeeze(-1)

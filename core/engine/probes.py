"""What the model thought where it took a token. Shapes: R rows, V vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.engine.candidates import top
from core.engine.request import Probe


def probe(
    raw_RV: Tensor, ids: Sequence[int], num_alternatives: Sequence[int], softcap: float
) -> list[Probe]:
    """Return a probe of each row for the id that it took; raw logits are soft-capped first."""
    if len(ids) == 1:
        # torch splits the sums over one long row among threads, and adds in another order then.
        two_RV, two = raw_RV.expand(2, -1), [*num_alternatives, *num_alternatives]
        return probe(two_RV, [*ids, *ids], two, softcap)[:1]
    logits_RV = torch.tanh(raw_RV.float() / softcap).mul_(softcap)
    logprobs_RV = torch.log_softmax(logits_RV, dim=-1)
    entropy_R = -torch.linalg.vecdot(logprobs_RV.exp(), logprobs_RV)
    own_R1 = logprobs_RV.gather(1, torch.tensor(ids, device=raw_RV.device)[:, None])
    rank_R = (logprobs_RV > own_R1).sum(dim=-1)
    most = max(num_alternatives)
    best, best_ids = top(logprobs_RV, most) if most else (own_R1, own_R1)
    figures = torch.stack((entropy_R, -own_R1[:, 0], rank_R.float()), dim=1)
    packed = torch.cat((figures.double(), best.exp().double(), best_ids.double()), dim=1)
    # One transfer; ids and ranks are exact in float64.
    return [
        _unpack(row, num, best.size(1))
        for row, num in zip(packed.tolist(), num_alternatives, strict=True)
    ]


def _unpack(row: list[float], num: int, width: int) -> Probe:
    shares, ids = row[3 : 3 + width], row[3 + width :]
    return Probe(
        entropy_nats=max(0.0, row[0]),
        surprisal_nats=max(0.0, row[1]),
        rank=int(row[2]),
        top=tuple((int(id_), share) for id_, share in list(zip(ids, shares, strict=True))[:num]),
    )

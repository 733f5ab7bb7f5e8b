"""What the model thought where it took a token. Shapes: R rows, V vocabulary, K alternatives."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from core.device import exact_dtype
from core.engine.build import compiled
from core.engine.candidates import top
from core.engine.request import Probe

# Fewer logits are judged by one thread before another has been woken.
MIN_SHARED = 16_384


def probe(
    raw_RV: Tensor, ids: Sequence[int], num_alternatives: Sequence[int], softcap: float
) -> list[Probe]:
    """Return a probe of each row for the id that it took; raw logits are soft-capped first."""
    most = min(max(num_alternatives), raw_RV.size(1))
    lib = compiled() if raw_RV.device.type == "cpu" and raw_RV.dtype == torch.float32 else None
    rows = (
        _judge_with_torch(raw_RV, ids, most, softcap)
        if lib is None
        else _judge(lib, raw_RV.contiguous(), ids, most, softcap)
    )
    return [_unpack(row, num, most) for row, num in zip(rows, num_alternatives, strict=True)]


def _judge(
    lib: ctypes.CDLL, raw_RV: Tensor, ids: Sequence[int], most: int, softcap: float
) -> list[list[float]]:
    """Return entropy, surprisal, rank, then K shares, then K ids of each row."""
    num_rows, vocab_size = raw_RV.shape
    num_threads = min(num_rows, torch.get_num_threads()) if raw_RV.numel() > MIN_SHARED else 1
    figures = torch.empty(num_rows, 3 + 2 * most, dtype=torch.float64)
    lib.judge(
        ctypes.c_int64(num_rows),
        ctypes.c_int64(num_threads),
        ctypes.c_int64(vocab_size),
        ctypes.c_float(softcap),
        ctypes.c_void_p(raw_RV.data_ptr()),
        (ctypes.c_int64 * num_rows)(*ids),
        ctypes.c_int64(most),
        (ctypes.c_int64 * max(1, num_rows * most))(),
        ctypes.c_void_p(figures.data_ptr()),
    )
    rows: list[list[float]] = figures.tolist()
    return rows


def _judge_with_torch(
    raw_RV: Tensor, ids: Sequence[int], most: int, softcap: float
) -> list[list[float]]:
    if len(ids) == 1:
        # torch splits the sums over one long row among threads, and adds in another order then.
        return _judge_with_torch(raw_RV.expand(2, -1), [*ids, *ids], most, softcap)[:1]
    logits_RV = torch.tanh(raw_RV.float() / softcap).mul_(softcap)
    logprobs_RV = torch.log_softmax(logits_RV, dim=-1)
    entropy_R = -torch.linalg.vecdot(logprobs_RV.exp(), logprobs_RV)
    own_R1 = logprobs_RV.gather(1, torch.tensor(ids, device=raw_RV.device)[:, None])
    rank_R = (logprobs_RV > own_R1).sum(dim=-1)
    best_RK, ids_RK = top(logprobs_RV, most) if most else (own_R1[:, :0], own_R1[:, :0])
    figures = torch.stack((entropy_R, -own_R1[:, 0], rank_R.float()), dim=1)
    # One transfer; ids and ranks are exact in either type, being below 2^24.
    exact = exact_dtype(raw_RV.device)
    packed = torch.cat((figures.to(exact), best_RK.exp().to(exact), ids_RK.to(exact)), dim=1)
    rows: list[list[float]] = packed.tolist()
    return rows


def _unpack(row: list[float], num: int, width: int) -> Probe:
    entropy, surprisal, rank = row[:3]
    return Probe(
        entropy_nats=max(0.0, entropy),
        surprisal_nats=max(0.0, surprisal),
        rank=int(rank),
        top=tuple(zip(map(int, row[3 + width : 3 + width + num]), row[3 : 3 + num], strict=True)),
    )

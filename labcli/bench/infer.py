"""How fast the engine answers, beside the plain engine, both in turns in this process.

Definitions: ttft_s: from the requests to the first token of every row. tpot_s: median of the
steps in which every row runs. tok_per_sec: tokens of those steps over their time. mbu: bytes of
the matrices that a step reads (embedding tables give single rows and do not count) and of the keys
and values in sight at the middle of the answer, over tpot_s and the peak bandwidth. mfu: the
products' FLOPs, likewise. Peaks are measured now on a CPU, the vendor's on a GPU. A small model
lives in the CPU's cache, whose bandwidth is above that of the memory: mbu can exceed 1 there.
probe_cost: what probes with 5 alternatives add to tpot_s, as a share of it, for requests that
sample (temperature 1, top-k 50); greedy_probe_cost: likewise for greedy ones, which without
probes need not know every logit.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labcli.bench.infer_model import prompts_of
from labcli.bench.infer_peaks import find_peaks, forget_peak, peak_bytes
from labcli.bench.infer_timing import Timing, time_engine, time_plain
from labcli.text.figures import ABSENT, figure, size
from labcli.text.tables import render
from runs.errors import UsageError

if TYPE_CHECKING:
    from core.engine.engine import Engine
    from core.model import GPT
    from core.tokenizer import Tokenizer

HEADER = (
    "WEIGHTS",
    "BATCH",
    "TTFT MS",
    "TPOT MS",
    "TOK/S",
    "MBU",
    "MFU",
    "PEAK",
    "TTFT X",
    "TOK X",
    "PROBES",
)
SAMPLED: dict[str, Any] = {"temperature": 1.0, "top_k": 50}
PROBES: dict[str, Any] = {"num_alternatives": 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is measured: answers of num_new tokens to prompts of num_prompt random ids."""

    batches: Sequence[int]
    weights: Sequence[str]
    num_prompt: int
    num_new: int
    rounds: int

    def __post_init__(self) -> None:
        if self.num_new < 2:
            raise UsageError(f"--new must be 2 or more, not {self.num_new}: one step is no speed")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """One engine's passes in one round."""

    greedy: Timing
    sampled: Timing
    greedy_probed: Timing
    sampled_probed: Timing
    peak_memory_bytes: int


def measure(model: GPT, tokenizer: Tokenizer, case: Case) -> list[dict[str, Any]]:
    """Return a row per type of weights and batch; the first round warms up and does not count."""
    import torch

    from core.engine.plain import PlainEngine

    plain = PlainEngine(model)
    rows = []
    for batch in case.batches:
        prompts = prompts_of(tokenizer, case.num_prompt, batch)
        engines = {kind: _engine(model, tokenizer, kind, batch) for kind in case.weights}
        ours: dict[str, list[_Round]] = {kind: [] for kind in engines}
        plains = []
        for _ in range(case.rounds + 1):
            plains.append(time_plain(plain, prompts, case.num_new))
            for kind, engine in engines.items():
                ours[kind].append(_measure_round(engine, prompts, case.num_new))
        for kind, engine in engines.items():
            row = _row(ours[kind][1:], plains[1:], batch)
            rows.append(
                {
                    **row,
                    **_shares(engine, case, batch, row["tpot_s"]),
                    "weights": kind,
                    "is_compiled": getattr(engine.decoder, "is_native", False),
                    "prompt": case.num_prompt,
                    "new": case.num_new,
                    "device": str(model.cos.device),
                    "threads": torch.get_num_threads(),
                    "torch": torch.__version__,
                }
            )
    return rows


def render_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return one line per row; "X" is the multiple of the plain engine's speed."""
    cells = [
        [
            row["weights"],
            str(row["batch"]),
            figure(row["ttft_s"] * 1e3, 1),
            figure(row["tpot_s"] * 1e3, 2),
            figure(row["tok_per_sec"], 0),
            ABSENT if row["mbu"] is None else figure(row["mbu"], 2),
            ABSENT if row["mfu"] is None else figure(row["mfu"], 3),
            size(row["peak_memory_bytes"]),
            figure(row["ttft_ratio"], 2),
            figure(row["tok_ratio"], 2),
            f"{row['probe_cost']:+.0%}",
        ]
        for row in rows
    ]
    return render(HEADER, cells, right="lrrrrrrrrrr")


def _engine(model: GPT, tokenizer: Tokenizer, kind: str, batch: int) -> Engine:
    from core.engine.engine import Engine

    return Engine(model, tokenizer, weights=kind, max_rows=batch)  # type: ignore[arg-type]


def _measure_round(engine: Engine, prompts: Sequence[Sequence[int]], num_new: int) -> _Round:
    device = engine.model.cos.device
    forget_peak(device)
    greedy = time_engine(engine, prompts, num_new)
    peak = peak_bytes(device)
    return _Round(
        greedy=greedy,
        greedy_probed=time_engine(engine, prompts, num_new, **PROBES),
        sampled=time_engine(engine, prompts, num_new, **SAMPLED),
        sampled_probed=time_engine(engine, prompts, num_new, **SAMPLED, **PROBES),
        peak_memory_bytes=peak,
    )


def _row(ours: Sequence[_Round], plain: Sequence[Timing], batch: int) -> dict[str, Any]:
    ttft_s, tpot_s, speed = _figures([one.greedy for one in ours], batch)
    plain_ttft_s, plain_tpot_s, plain_speed = _figures(plain, batch)
    return {
        "batch": batch,
        "ttft_s": ttft_s,
        "tpot_s": tpot_s,
        "tok_per_sec": speed,
        "plain_ttft_s": plain_ttft_s,
        "plain_tpot_s": plain_tpot_s,
        "plain_tok_per_sec": plain_speed,
        "ttft_ratio": plain_ttft_s / ttft_s,
        "tok_ratio": speed / plain_speed,
        "has_equal_ids": ours[0].greedy.ids == plain[0].ids,
        "probe_cost": _cost([(one.sampled, one.sampled_probed) for one in ours]),
        "greedy_probe_cost": _cost([(one.greedy, one.greedy_probed) for one in ours]),
        "peak_memory_bytes": max(one.peak_memory_bytes for one in ours),
    }


def _figures(timings: Sequence[Timing], batch: int) -> tuple[float, float, float]:
    """Return the medians over rounds of TTFT, TPOT and tokens per second."""
    return (
        statistics.median(timing.ttft_s for timing in timings),
        statistics.median(timing.tpot_s for timing in timings),
        statistics.median(batch * len(timing.steps_s) / sum(timing.steps_s) for timing in timings),
    )


def _cost(pairs: Sequence[tuple[Timing, Timing]]) -> float:
    """Return by what share the second of each pair takes longer per step; the median of pairs."""
    return statistics.median(more.tpot_s / less.tpot_s - 1 for less, more in pairs)


def _shares(engine: Engine, case: Case, batch: int, tpot_s: float) -> dict[str, float | None]:
    from core.engine.decoder import CachedDecoder

    decoder = engine.decoder
    assert isinstance(decoder, CachedDecoder)
    weights, config = decoder.weights, decoder.weights.config
    peaks = find_peaks(weights)
    middle = case.num_prompt + case.num_new // 2
    in_sight = sum(min(middle, layer.window + 1) for layer in weights.layers)
    kv_bytes = 2 * in_sight * config.num_kv_heads * config.head_dim * weights.dtype.itemsize
    layers = config.num_layers * (
        10 * config.n_embd**2 + 2 * config.n_embd * config.num_kv_heads * config.head_dim
    )
    products = layers + config.n_embd * config.vocab_size
    flops = batch * (2 * products + 4 * in_sight * config.n_embd)
    read = decoder.bytes_read(batch) + batch * kv_bytes
    return {
        "mbu": None if peaks.bytes_per_s is None else read / tpot_s / peaks.bytes_per_s,
        "mfu": None if peaks.flops_per_s is None else flops / tpot_s / peaks.flops_per_s,
    }

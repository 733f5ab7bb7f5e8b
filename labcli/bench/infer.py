"""How fast the engine answers, beside the plain engine, both in turns in this process.

Definitions: ttft_s: from the requests to the first token of every row. tpot_s: median of the
steps in which every row runs. tok_per_sec: tokens of those steps over their time. mbu: bytes of
the matrices that a step reads (embedding tables give single rows and do not count) and of the keys
and values in sight at the middle of the answer, over tpot_s and the peak bandwidth. mfu: the
products' FLOPs, likewise. Peaks are measured now on a CPU, the vendor's on a GPU. A small model
lives in the CPU's cache, whose bandwidth is above that of the memory: mbu can exceed 1 there.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labcli.tables import ABSENT, figure, render, size
from runs.errors import UsageError

if TYPE_CHECKING:
    from core.engine.engine import Engine
    from core.engine.weights import Weights
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
)
BANDWIDTH_BYTES_PER_S: tuple[tuple[str, float], ...] = (
    ("B200", 8.0e12), ("H200", 4.8e12), ("H100 PCIe", 2.0e12), ("H100", 3.35e12),
    ("A100", 2.0e12), ("L40S", 864e9), ("L4", 300e9), ("A40", 696e9), ("A30", 933e9),
    ("RTX 5090", 1792e9), ("RTX 4090", 1008e9), ("RTX 3090", 936e9),
)  # fmt: skip
PROBE_BYTES = 256 * 2**20
PROBE_REPEATS = 5


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
class Timing:
    """One pass over a batch; `ids` are the answers, for rows that ran to the end."""

    ttft_s: float
    steps_s: tuple[float, ...]
    ids: tuple[tuple[int, ...], ...]

    @property
    def tpot_s(self) -> float:
        """Median time of a step."""
        return statistics.median(self.steps_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """What the device can do at most; None where no figure is known."""

    flops_per_s: float | None
    bytes_per_s: float | None


def random_model(depth: int, vocab_size: int, device: str = "cpu") -> tuple[GPT, Tokenizer]:
    """Return a model with the shape of a preset's and random weights, and ids to ask it with.

    It never picks a special token, so every answer has its full length.
    """
    import torch

    from core.config import BaseConfig, build_stage_config
    from core.device import pick_device
    from core.model import GPT
    from core.scaling import model_config
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


def measure(model: GPT, tokenizer: Tokenizer, case: Case) -> list[dict[str, Any]]:
    """Return a row per type of weights and batch; the first round warms up and does not count."""
    import torch

    from core.engine.plain import PlainEngine
    from core.engine.weights import prepare

    plain = PlainEngine(model)
    rows = []
    for batch in case.batches:
        prompts = _prompts(tokenizer, case.num_prompt, batch)
        engines = {kind: _engine(model, tokenizer, kind, batch) for kind in case.weights}
        timings: dict[str, list[Timing]] = {kind: [] for kind in ("plain", *engines)}
        memory = dict.fromkeys(engines, 0)
        for _ in range(case.rounds + 1):
            timings["plain"].append(_time_plain(plain, prompts, case.num_new))
            for kind, engine in engines.items():
                _forget_peak(model.cos.device)
                timings[kind].append(_time_engine(engine, prompts, case.num_new))
                memory[kind] = max(memory[kind], _peak_bytes(model.cos.device))
        for kind in engines:
            weights = prepare(model, kind)  # type: ignore[arg-type]
            row = _row(timings[kind][1:], timings["plain"][1:], batch)
            shares = _shares(weights, case, batch, row["tpot_s"], find_peaks(weights))
            rows.append(
                {
                    **row,
                    **shares,
                    "peak_memory_bytes": memory[kind],
                    "weights": kind,
                    "prompt": case.num_prompt,
                    "new": case.num_new,
                    "device": str(model.cos.device),
                    "threads": torch.get_num_threads(),
                    "torch": torch.__version__,
                }
            )
    return rows


def find_peaks(weights: Weights) -> Peaks:
    """Return the device's peaks, measured on a CPU: the best of a few reads of 256 MB."""
    import torch

    from core.device import peak_flops
    from core.hardware import lookup

    flops = peak_flops(weights.device, weights.dtype)
    if weights.device.type == "cuda":
        name = torch.cuda.get_device_name(weights.device)
        return Peaks(flops_per_s=flops, bytes_per_s=lookup(BANDWIDTH_BYTES_PER_S, name))
    data = torch.ones(PROBE_BYTES // 4)
    best_s = float("inf")
    for _ in range(PROBE_REPEATS):
        start_s = time.perf_counter()
        data.sum()
        best_s = min(best_s, time.perf_counter() - start_s)
    return Peaks(flops_per_s=flops, bytes_per_s=PROBE_BYTES / best_s)


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
        ]
        for row in rows
    ]
    return render(HEADER, cells, right="lrrrrrrrrr")


def _prompts(tokenizer: Tokenizer, length: int, batch: int) -> list[list[int]]:
    # Rows differ, so that no row can take over what another one has stored.
    step = max(1, tokenizer.vocab_size // 7)
    return [
        [(1 + 31 * row + step * place) % 256 for place in range(length)] for row in range(batch)
    ]


def _engine(model: GPT, tokenizer: Tokenizer, kind: str, batch: int) -> Engine:
    from core.engine.engine import Engine

    return Engine(model, tokenizer, weights=kind, max_rows=batch)  # type: ignore[arg-type]


def _time_plain(plain: Any, prompts: Sequence[Sequence[int]], num_new: int) -> Timing:
    times_s, columns = [], []
    last_s = time.perf_counter()
    for column in plain.stream(prompts, num_new):
        now_s = time.perf_counter()
        times_s.append(now_s - last_s)
        last_s = now_s
        columns.append(column)
    ids = tuple(zip(*columns, strict=True))
    return Timing(ttft_s=times_s[0], steps_s=tuple(times_s[1:]), ids=ids)


def _time_engine(engine: Engine, prompts: Sequence[Sequence[int]], num_new: int) -> Timing:
    from core.engine.request import Request
    from core.engine.scheduler import Scheduler
    from core.engine.slots import Slots

    # No prefix of an earlier round may help.
    engine.slots = Slots(engine.max_rows, has_reuse=False)
    scheduler = Scheduler(engine)
    answers: dict[int, list[int]] = {}
    steps_s = []
    last_s = time.perf_counter()
    for prompt in prompts:
        answers[scheduler.submit(Request(prompt_ids=prompt, max_new_tokens=num_new))] = []
    ttft_s = None
    while not scheduler.is_idle:
        tokens = scheduler.step()
        now_s = time.perf_counter()
        for token in tokens:
            answers[token.row].append(token.id)
        if ttft_s is None and all(answers.values()):
            ttft_s = now_s - last_s
            last_s = now_s
        elif ttft_s is not None:
            if len(tokens) == len(prompts):
                steps_s.append(now_s - last_s)
            last_s = now_s
    if ttft_s is None or not steps_s:
        raise UsageError("the model ends its answers at once; measure with random weights instead")
    return Timing(ttft_s=ttft_s, steps_s=tuple(steps_s), ids=tuple(map(tuple, answers.values())))


def _row(ours: Sequence[Timing], plain: Sequence[Timing], batch: int) -> dict[str, Any]:
    ttft_s, tpot_s, speed = _figures(ours, batch)
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
        "has_equal_ids": ours[0].ids == plain[0].ids,
    }


def _figures(timings: Sequence[Timing], batch: int) -> tuple[float, float, float]:
    """Return the medians over rounds of TTFT, TPOT and tokens per second."""
    return (
        statistics.median(timing.ttft_s for timing in timings),
        statistics.median(timing.tpot_s for timing in timings),
        statistics.median(batch * len(timing.steps_s) / sum(timing.steps_s) for timing in timings),
    )


def _shares(
    weights: Weights, case: Case, batch: int, tpot_s: float, peaks: Peaks
) -> dict[str, float | None]:
    config = weights.config
    middle = case.num_prompt + case.num_new // 2
    in_sight = sum(min(middle, layer.window + 1) for layer in weights.layers)
    kv_bytes = 2 * in_sight * config.num_kv_heads * config.head_dim * weights.dtype.itemsize
    layers = config.num_layers * (
        10 * config.n_embd**2 + 2 * config.n_embd * config.num_kv_heads * config.head_dim
    )
    products = layers + config.n_embd * config.vocab_size
    flops = batch * (2 * products + 4 * in_sight * config.n_embd)
    read = weights.bytes_read(batch) + batch * kv_bytes
    return {
        "mbu": None if peaks.bytes_per_s is None else read / tpot_s / peaks.bytes_per_s,
        "mfu": None if peaks.flops_per_s is None else flops / tpot_s / peaks.flops_per_s,
    }


def _forget_peak(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _peak_bytes(device: Any) -> int:
    """Return the most memory since _forget_peak: the GPU's, else the whole process's."""
    import psutil
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return int(psutil.Process().memory_info().rss)
    peak_kib = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak_kib) * 1024

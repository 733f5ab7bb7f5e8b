"""What a device can do at most, and the most memory that it or this process has taken."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.engine.weights import Weights


PROBE_BYTES = 256 * 2**20
PROBE_REPEATS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """What the device can do at most; None where no figure is known."""

    flops_per_s: float | None
    bytes_per_s: float | None


def find_peaks(weights: Weights) -> Peaks:
    """Return the device's peaks, measured on a CPU: the best of a few reads of 256 MB."""
    import torch

    from core.device import peak_flops
    from core.hardware_table import shipped_table

    flops = peak_flops(weights.device, weights.dtype, shipped_table())
    if weights.device.type == "cuda":
        name = torch.cuda.get_device_name(weights.device)
        card = shipped_table().find(name)
        return Peaks(flops_per_s=flops, bytes_per_s=None if card is None else card.bandwidth)
    data = torch.ones(PROBE_BYTES // 4)
    best_s = float("inf")
    for _ in range(PROBE_REPEATS):
        start_s = time.perf_counter()
        data.sum()
        best_s = min(best_s, time.perf_counter() - start_s)
    return Peaks(flops_per_s=flops, bytes_per_s=PROBE_BYTES / best_s)


def forget_peak(device: Any) -> None:
    """Start to look for the most memory anew."""
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_bytes(device: Any) -> int:
    """Return the most memory since forget_peak: the GPU's, else the whole process's."""
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

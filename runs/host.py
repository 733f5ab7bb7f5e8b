"""Samples of the machine that a run is on: CPU, memory, disk, GPUs, and alerts about them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOW_DISK_BYTES = 1_000_000_000


class HostSampler:
    """Reads the sensors of this machine; a GPU that cannot be read is left out."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._gpus = _open_gpus()
        self._has_warned = False

    def sample(self, worker_pid: int | None) -> dict[str, Any]:
        """Return the load since the last sample; the first one has a CPU share of 0."""
        import psutil

        memory = psutil.virtual_memory()
        return {
            "cpu_percent": psutil.cpu_percent(interval=None),
            "memory_used_bytes": memory.total - memory.available,
            "memory_total_bytes": memory.total,
            "worker_memory_bytes": _family_memory(worker_pid),
            "disk_free_bytes": psutil.disk_usage(str(self._run_dir)).free,
            "gpus": [reading for reading in map(_read_gpu, self._gpus) if reading is not None],
        }

    def alert(self, sample: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return an alert the first time that the disk is nearly full."""
        free_bytes = sample["disk_free_bytes"]
        if self._has_warned or free_bytes >= LOW_DISK_BYTES:
            return None
        self._has_warned = True
        message = f"only {free_bytes / 1e6:.0f} MB left on the disk of {self._run_dir}"
        return {"code": "disk-low", "severity": "warning", "message": message}


def _family_memory(pid: int | None) -> int:
    import psutil

    if pid is None:
        return 0
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for member in family:
        try:
            total += member.memory_info().rss
        except psutil.Error:
            continue
    return total


def _open_gpus() -> list[Any]:
    import pynvml

    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []


def _read_gpu(handle: Any) -> dict[str, Any] | None:
    import pynvml

    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        return {
            "util_percent": int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
            "memory_used_bytes": int(memory.used),
            "memory_total_bytes": int(memory.total),
            "temperature_c": int(pynvml.nvmlDeviceGetTemperature(handle, 0)),
            "power_w": pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        }
    except pynvml.NVMLError:
        return None

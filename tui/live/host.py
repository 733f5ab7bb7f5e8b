"""The load of the machine that a run is on, as the curves that charts show. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runs.events import number

CPU = "cpu"
RAM = "ram"
GPU_UTIL = "gpu_util"
GPU_MEMORY = "gpu_memory"
GPU_POWER = "gpu_power"
GPU_TEMPERATURE = "gpu_temperature"


def host_values(sample: Mapping[str, Any]) -> dict[str, float]:
    """Return the curves' values in one sample of host.jsonl.

    CPU and GPU use are shares from 0 to 1; memory is in bytes, power in watts, temperature in
    degrees Celsius. Of several GPUs: the mean use, the sum of memory and power, the hottest.
    """
    found: dict[str, float | None] = {
        CPU: _share(sample.get("cpu_percent")),
        RAM: number(sample.get("memory_used_bytes")),
    }
    gpus = sample.get("gpus")
    readings = [gpu for gpu in gpus if isinstance(gpu, Mapping)] if isinstance(gpus, list) else []
    uses = _numbers(readings, "util_percent")
    if uses:
        found[GPU_UTIL] = sum(uses) / len(uses) / 100
    for key, name in ((GPU_MEMORY, "memory_used_bytes"), (GPU_POWER, "power_w")):
        values = _numbers(readings, name)
        found[key] = sum(values) if values else None
    found[GPU_TEMPERATURE] = max(_numbers(readings, "temperature_c"), default=None)
    return {key: value for key, value in found.items() if value is not None}


def _share(percent: object) -> float | None:
    value = number(percent)
    return None if value is None else value / 100


def _numbers(readings: list[Mapping[str, Any]], name: str) -> list[float]:
    values = (number(reading.get(name)) for reading in readings)
    return [value for value in values if value is not None]

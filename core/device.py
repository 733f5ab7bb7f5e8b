"""Devices and compute types as explicit values, and the measured peak of a CPU."""

from __future__ import annotations

import time

import torch

from core import hardware
from core.hardware_table import shipped_table
from runs.errors import UsageError

PROBE_SIZE = 1024
PROBE_REPEATS = 8


def pick_device(name: str) -> torch.device:
    """Return the device of a name such as cpu or cuda:1; UsageError when it is not there."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"{name!r} is no device; name cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device {name!r} is not available: torch {torch.__version__} sees no GPU")
    return device


def training_dtype(setting: str, device: torch.device) -> torch.dtype:
    """Return the compute type of training; auto: bfloat16 where matmuls gain from it."""
    if setting != "auto":
        return _named(setting)
    if device.type == "cuda":
        return (
            torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float32
        )
    return torch.bfloat16 if hardware.has_cpu_bf16() else torch.float32


def inference_dtype(setting: str, device: torch.device) -> torch.dtype:
    """Return the compute type of decoding; auto: float32 on a CPU, where bf16 only re-casts."""
    if setting == "auto" and device.type == "cpu":
        return torch.float32
    return training_dtype(setting, device)


def device_name(device: torch.device) -> str:
    """Return what the device is called by its maker."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return hardware.cpu_name()


def peak_flops(device: torch.device, dtype: torch.dtype) -> float | None:
    """Return the FLOP/s that MFU is measured against, or None where no figure is known.

    A GPU's figure is the vendor's. A CPU's is the best of a few square matmuls, timed now on
    this machine with the threads that training uses, and so depends on what else it is doing.
    """
    if device.type != "cpu":
        card = shipped_table().find(device_name(device))
        return None if card is None else card.bf16_flops
    a = torch.ones(PROBE_SIZE, PROBE_SIZE, dtype=dtype)
    best_s = float("inf")
    for _ in range(PROBE_REPEATS):
        start = time.perf_counter()
        torch.mm(a, a)
        best_s = min(best_s, time.perf_counter() - start)
    return 2 * PROBE_SIZE**3 / best_s


def _named(setting: str) -> torch.dtype:
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[setting]

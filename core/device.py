"""Devices and compute types as explicit values, and the measured peak of a CPU."""

from __future__ import annotations

import time

import torch

from core import hardware
from core.hardware_table import HardwareTable
from runs.errors import UsageError

PROBE_SIZE = 1024
PROBE_REPEATS = 8
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
# Compute capabilities from which a card multiplies matrices of a type in its tensor cores.
FLOAT16_CAPABILITY = (7, 0)
BFLOAT16_CAPABILITY = (8, 0)


def pick_device(name: str) -> torch.device:
    """Return the device of a name such as cpu, cuda:1 or mps; UsageError when it is not there."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"{name!r} is no device; name cpu, cuda, cuda:N or mps")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        seen = torch.cuda.device_count() or "no"
        raise UsageError(
            f"device {name!r} is not available: torch {torch.__version__} sees {seen} GPU"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError(
            f"device {name!r} is not available: torch {torch.__version__} sees no Apple GPU"
        )
    return device


def best_training_dtype(
    kind: str, *, capability: tuple[int, int] | None = None, has_cpu_bf16: bool = False
) -> torch.dtype:
    """Return the type that `auto` trains in on a kind of device: cpu, cuda or mps. Pure.

    A V100 or T4 has no bfloat16, but multiplies float16 in its tensor cores at eight times the
    rate of float32 (125 and 65 TFLOP/s against 15.7 and 8.1) and keeps half the bytes for the
    backward pass; the price is a loss scale (core.train.precision). Cards before them gain
    nothing. nanochat takes float32 on all of these. An Apple GPU has no such units: float32,
    bfloat16 only when it is asked for.

    Args:
        capability: of a CUDA card.
        has_cpu_bf16: whether the CPU multiplies bfloat16 natively; else it is slower.
    """
    if kind == "cuda" and capability is not None:
        if capability >= BFLOAT16_CAPABILITY:
            return torch.bfloat16
        return torch.float16 if capability >= FLOAT16_CAPABILITY else torch.float32
    return torch.bfloat16 if kind == "cpu" and has_cpu_bf16 else torch.float32


def training_dtype(setting: str, device: torch.device) -> torch.dtype:
    """Return the compute type of training; auto: see best_training_dtype.

    Raises:
        UsageError: bfloat16 on a Mac whose system is too old for it.
    """
    if setting == "auto":
        is_cuda = device.type == "cuda"
        return best_training_dtype(
            device.type,
            capability=torch.cuda.get_device_capability(device) if is_cuda else None,
            has_cpu_bf16=hardware.has_cpu_bf16(),
        )
    if setting == "bfloat16" and device.type == "mps" and not _has_macos_14():
        raise UsageError("dtype bfloat16 on an Apple GPU needs macOS 14; set dtype float32")
    return DTYPES[setting]


def inference_dtype(setting: str, device: torch.device) -> torch.dtype:
    """Return the compute type of decoding; auto: float32 on a CPU, where bf16 only re-casts."""
    if setting == "auto" and device.type == "cpu":
        return torch.float32
    return training_dtype(setting, device)


def exact_dtype(device: torch.device) -> torch.dtype:
    """Return the type for long sums: float64, but on Apple GPUs, which have none, float32."""
    return torch.float32 if device.type == "mps" else torch.float64


def set_up_device(device: torch.device) -> None:
    """Make a GPU the one that this process works on, with TF32 for float32 products.

    Events are recorded in a stream of the current device: those of a rank that left the first GPU
    current would be passed before its own GPU has done anything, and its numbers read too early.
    TF32 has 10 bits of mantissa.
    """
    if device.type != "cuda":
        return
    if device.index is not None:
        torch.cuda.set_device(device)
    torch.set_float32_matmul_precision("high")


def device_name(device: torch.device) -> str:
    """Return what the device is called by its maker; an Apple GPU is called like its chip."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return hardware.cpu_name()


def peak_flops(device: torch.device, dtype: torch.dtype, table: HardwareTable) -> float | None:
    """Return the FLOP/s that MFU is measured against, or None where no figure is known.

    A GPU's figure is that of the table. A CPU's is the best of a few square matmuls, timed now on
    this machine with the threads that training uses, and so depends on what else it is doing.
    """
    if device.type != "cpu":
        card = table.find(device_name(device))
        return None if card is None else card.bf16_flops
    a = torch.ones(PROBE_SIZE, PROBE_SIZE, dtype=dtype)
    best_s = float("inf")
    for _ in range(PROBE_REPEATS):
        start = time.perf_counter()
        torch.mm(a, a)
        best_s = min(best_s, time.perf_counter() - start)
    return 2 * PROBE_SIZE**3 / best_s


def _has_macos_14() -> bool:
    return torch.backends.mps.is_macos_or_newer(14, 0)

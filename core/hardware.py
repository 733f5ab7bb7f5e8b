"""What machine this is, found without torch: presets, peak speeds and prices.

Peaks are dense bf16 FLOP/s as the vendors state them; hourly rates are common on-demand prices.
"""

from __future__ import annotations

import os
import platform
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import psutil

# Specific names before generic ones: the first that is contained in the device's name counts.
PEAK_FLOPS: tuple[tuple[str, float], ...] = (
    ("GB200", 2.5e15), ("B200", 2.25e15), ("H200", 989e12), ("H100 NVL", 835e12),
    ("H100 PCIe", 756e12), ("H100", 989e12), ("H800", 756e12), ("A100", 312e12),
    ("L40S", 362e12), ("L4", 121e12), ("A40", 149.7e12), ("A30", 165e12),
    ("RTX 5090", 209.5e12), ("RTX 4090", 165.2e12), ("RTX 3090", 71e12),
)  # fmt: skip
USD_PER_GPU_HOUR: tuple[tuple[str, float], ...] = (("H200", 3.59), ("H100", 3.0), ("A100", 1.79))
GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One accelerator."""

    name: str
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The machine a plan is made for."""

    cpu: str
    num_cpus: int
    memory_bytes: int
    gpus: tuple[Gpu, ...]
    has_cpu_bf16: bool
    has_compiler: bool

    @property
    def preset(self) -> str:
        """The preset slug that `--preset auto` takes."""
        if not self.gpus:
            return "cpu"
        if len(self.gpus) >= 8 and ("H100" in self.gpus[0].name or "H200" in self.gpus[0].name):
            return "8xh100"
        return "gpu"

    @property
    def device(self) -> str:
        """The device type that stages run on."""
        return "cuda" if self.gpus else "cpu"

    @property
    def usd_per_hour(self) -> float | None:
        """The usual rent of this machine, or None for one that has no known price."""
        rates = [lookup(USD_PER_GPU_HOUR, gpu.name) for gpu in self.gpus]
        known = [rate for rate in rates if rate is not None]
        return sum(known) if known and len(known) == len(rates) else None


def lookup(table: tuple[tuple[str, float], ...], name: str) -> float | None:
    """Return the value of the first entry that the device's name contains."""
    return next((value for key, value in table if key in name), None)


def detect() -> Hardware:
    """Return this machine's hardware, asking NVML and the platform."""
    return Hardware(
        cpu=cpu_name(),
        num_cpus=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        gpus=_nvidia_gpus(),
        has_cpu_bf16=has_cpu_bf16(),
        has_compiler=has_compiler(),
    )


def cpu_flags() -> frozenset[str]:
    """Return the CPU's features by their names in /proc/cpuinfo; none where there is no such."""
    return frozenset(_cpu_field("flags").split())


def has_cpu_bf16() -> bool:
    """Return whether the CPU multiplies bfloat16 natively (AVX512-BF16 or AMX)."""
    return bool({"avx512_bf16", "amx_bf16"} & cpu_flags())


def has_cpu_vnni() -> bool:
    """Return whether the CPU adds up 8-bit products without an overflow on the way."""
    return bool({"avx512_vnni", "avx_vnni"} & cpu_flags())


def has_compiler() -> bool:
    """Return whether torch.compile can build CPU kernels: a C++ compiler and Python's headers."""
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    return shutil.which(os.environ.get("CXX", "g++")) is not None and headers.exists()


def cpu_name() -> str:
    """Return the processor's name as the system states it."""
    return _cpu_field("model name") or platform.processor() or platform.machine()


def _cpu_field(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _nvidia_gpus() -> tuple[Gpu, ...]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
        ]
        return tuple(
            Gpu(
                name=str(pynvml.nvmlDeviceGetName(handle)),
                memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
            )
            for handle in handles
        )
    finally:
        pynvml.nvmlShutdown()

"""What machine this is, found without torch: its preset, its speed and its price."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from core.hardware_table import GIB, HardwareTable, shipped_table

# GPUs of a preset by the memory of the card, largest first; names state GB, cards keep some back.
MEMORY_PRESETS = ((70, "gpu-80g"), (22, "gpu-24g"), (14, "gpu-16g"), (0, "gpu-8g"))
NUM_POD_GPUS = 8
# What of a Mac's memory is counted on for its GPU; the rest is the system's and the programs'.
MAC_GPU_SHARE = 2 / 3
_SYSCTL_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One accelerator."""

    name: str
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The machine a plan is made for.

    disk_free_bytes: what is free where a run would lie; None where nobody has looked.
    """

    cpu: str
    num_cpus: int
    memory_bytes: int
    gpus: tuple[Gpu, ...]
    has_cpu_bf16: bool
    has_compiler: bool
    disk_free_bytes: int | None = None
    table: HardwareTable = field(default_factory=shipped_table, repr=False)

    @property
    def preset(self) -> str:
        """The preset slug that `--preset auto` takes."""
        if not self.gpus:
            return "cpu"
        name = self.gpus[0].name
        if self.device == "mps":
            return "mps"
        if "GB10" in name:
            return "dgx-spark"
        memory_gib = min(gpu.memory_bytes for gpu in self.gpus) / GIB
        # An A100 of 40 GB, or a part of an H100, holds no d24.
        if len(self.gpus) >= NUM_POD_GPUS and memory_gib >= MEMORY_PRESETS[0][0]:
            for model in ("H100", "H200", "A100"):
                if model in name:
                    return f"8x{model.lower()}"
        return next(slug for least, slug in MEMORY_PRESETS if memory_gib >= least)

    @property
    def device(self) -> str:
        """The device type that stages run on."""
        if not self.gpus:
            return "cpu"
        return "mps" if self.gpus[0].name.startswith("Apple") else "cuda"

    @property
    def fp8_flops(self) -> float | None:
        """The peak of all GPUs in 8-bit floats, or None where one of them has none."""
        cards = [self.table.find(gpu.name) for gpu in self.gpus]
        known = [card.fp8_flops for card in cards if card and card.fp8_flops is not None]
        return sum(known) if known and len(known) == len(cards) else None

    @property
    def usd_per_hour(self) -> float | None:
        """The usual rent of this machine, or None for one that has no known price."""
        cards = [self.table.find(gpu.name) for gpu in self.gpus]
        known = [card.usd_per_hour for card in cards if card and card.usd_per_hour is not None]
        return round(sum(known), 2) if known and len(known) == len(cards) else None

    @property
    def flops_per_s(self) -> float:
        """The speed of training that times are estimated from."""
        if not self.gpus:
            table = self.table
            core = table.bf16_core_flops if self.has_cpu_bf16 else table.fp32_core_flops
            return self.num_cpus * core
        return sum(self._gpu_flops_per_s(gpu) for gpu in self.gpus)

    @property
    def speed_source(self) -> str:
        """How `flops_per_s` is known."""
        speed = _flops(self.flops_per_s)
        if not self.gpus:
            core = _flops(self.flops_per_s / self.num_cpus)
            return f"{speed}: {self.num_cpus} CPU cores of {core}, {self.table.core_source}"
        gpu = self.gpus[0]
        card = self.table.find(gpu.name)
        who = f"{speed}: {len(self.gpus)} x {gpu.name}"
        if card is None:
            return f"{who}, a card that is not in the table, taken for the slowest that is"
        mfu, source = self.table.mfu(card)
        return f"{who} at {mfu:.0%} of the vendor's peak, {_flops(card.bf16_flops)} ({source})"

    def _gpu_flops_per_s(self, gpu: Gpu) -> float:
        # A name that is not in the table counts as the slowest card that is.
        slowest = min(self.table.cards.values(), key=lambda card: card.bf16_flops)
        card = self.table.find(gpu.name) or slowest
        return card.bf16_flops * self.table.mfu(card)[0]


def detect(added: Mapping[str, Any] | None = None) -> Hardware:
    """Return this machine's hardware, asking NVML, on a Mac sysctl, and the platform.

    added: a user's cards, from the lab home's settings.

    Raises:
        UsageError: one of those cards has a figure that cannot be.
    """
    return Hardware(
        cpu=cpu_name(),
        num_cpus=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        gpus=nvidia_gpus() or apple_gpus(),
        has_cpu_bf16=has_cpu_bf16(),
        has_compiler=has_compiler(),
        table=shipped_table().with_cards(added or {}, where="settings.toml"),
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


def why_not_compiled(device: str, *, has_compiler: bool) -> str | None:
    """Return what keeps torch.compile from a type of device; None where torch has to be asked."""
    if device == "mps":
        return "kernels for Apple GPUs are not proven"
    if device == "cpu" and not has_compiler:
        return "no C++ compiler with Python headers on this machine"
    return None


def cpu_name() -> str:
    """Return the processor's name as the system states it."""
    named = _cpu_field("model name")
    if not named and sys.platform == "darwin":
        named = sysctl("machdep.cpu.brand_string")
    return named or platform.processor() or platform.machine()


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


def _flops(per_s: float) -> str:
    scale, unit = next((s, u) for s, u in ((1e15, "P"), (1e12, "T"), (0, "G")) if per_s >= s)
    return f"{per_s / (scale or 1e9):.3g} {unit}FLOP/s"


def nvidia_gpus() -> tuple[Gpu, ...]:
    """Return the cards that NVML knows; none without its driver."""
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
                memory_bytes=_gpu_memory_bytes(pynvml, handle),
            )
            for handle in handles
        )
    finally:
        pynvml.nvmlShutdown()


def apple_gpus(
    *, system: str = sys.platform, ask: Callable[[str], str] | None = None
) -> tuple[Gpu, ...]:
    """Return the GPU of an Apple chip, which is named like its CPU; none on any other machine.

    ask: the value of a name that sysctl knows, "" for one that it does not.
    """
    if system != "darwin":
        return ()
    ask = ask or sysctl
    chip, memory = ask("machdep.cpu.brand_string"), ask("hw.memsize")
    if not chip.startswith("Apple") or not memory.isdecimal():
        return ()
    return (Gpu(name=chip, memory_bytes=int(int(memory) * MAC_GPU_SHARE)),)


def sysctl(name: str) -> str:
    """Return what macOS states of itself under a name; "" where it has no such name."""
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", name],
            capture_output=True,
            text=True,
            timeout=_SYSCTL_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _gpu_memory_bytes(pynvml: Any, handle: Any) -> int:
    """Return a GPU's memory; one that shares the machine's, such as a GB10, states none."""
    try:
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    except pynvml.NVMLError:
        return psutil.virtual_memory().total

"""The machine that a plan is for: this one, or the one that a preset names. Torch-free, pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.hardware import Gpu, Hardware
from core.hardware_table import GIB
from runs.errors import UsageError

# What a preset says besides the settings of stages.
PRESET_KEYS = ("description", "device", "gpu", "num_gpus", "notes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The hardware of a plan; `is_here` says whether it is that of this machine."""

    hardware: Hardware
    is_here: bool


def preset_notes(preset: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a preset's advice, one text each."""
    notes = preset.get("notes", [])
    return (notes,) if isinstance(notes, str) else tuple(map(str, notes))


def require_attention(setting: str, hardware: Hardware) -> None:
    """Raise UsageError where an attention kernel needs a GPU that this hardware has not.

    Of a GPU the stage itself looks whether the kernel is installed and fits.
    """
    if setting in ("flash", "flex") and hardware.device != "cuda":
        what = hardware.gpus[0].name if hardware.gpus else hardware.cpu
        raise UsageError(
            f"attention = {setting} is not possible on {what}: it needs an NVIDIA GPU; use auto "
            "or sdpa"
        )


def machine_for(
    preset: Mapping[str, Any], hardware: Hardware, *, nproc: int | None = None
) -> Machine:
    """Return this machine, cut to what a preset uses, or the preset's where this has too little.

    A preset with `device` "cpu" uses no GPU. One with `gpu` and `num_gpus` uses so many of any
    kind; with `nproc` it uses so many instead.

    Raises:
        UsageError: the preset names a card that is not in the table, or no number of them.
    """
    if preset.get("device") == "cpu":
        return Machine(hardware=replace(hardware, gpus=()), is_here=True)
    name = preset.get("gpu")
    if name is None:
        return Machine(hardware=hardware, is_here=True)
    card = hardware.table.cards.get(str(name))
    if card is None or card.memory_gib is None:
        raise UsageError(
            f"the preset is for {name!r}, of which hardware.toml states no memory; "
            "name another gpu or add the card to the lab home's settings"
        )
    num_gpus = preset.get("num_gpus", 1)
    if not isinstance(num_gpus, int) or num_gpus < 1:
        raise UsageError(f"num_gpus of a preset is a whole number above 0, not {num_gpus!r}")
    wanted = nproc or num_gpus
    device = preset.get("device", "cuda")
    if hardware.device == device and len(hardware.gpus) >= wanted:
        return Machine(hardware=replace(hardware, gpus=hardware.gpus[:wanted]), is_here=True)
    gpu = Gpu(name=str(name), memory_bytes=int(card.memory_gib * GIB))
    elsewhere = replace(hardware, gpus=(gpu,) * wanted, disk_free_bytes=None)
    return Machine(hardware=elsewhere, is_here=False)

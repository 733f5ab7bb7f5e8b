"""The machine that a plan is for: this one, or the one that a preset names. Torch-free, pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.hardware import Gpu, Hardware, why_not_compiled
from core.hardware_table import GIB
from core.planning.speed import uses_fp8
from core.settings.training import TrainConfig
from runs.errors import UsageError, nearest

# What a preset says besides the settings of stages.
PRESET_KEYS = ("description", "device", "gpu", "num_gpus", "notes")
# The preset that `auto` takes of a recipe that has none for this kind of machine.
ANY_MACHINE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The hardware of a plan; `is_here` says whether it is that of this machine."""

    hardware: Hardware
    is_here: bool


def preset_slug(recipe: str, asked: str, presets: Mapping[str, Any], hardware: Hardware) -> str:
    """Return the preset that was asked for; of "auto", the one for this kind of machine.

    Raises:
        UsageError: the recipe has no such preset; the nearest is named.
    """
    slug = hardware.preset if asked == "auto" else asked
    if asked == "auto" and slug not in presets and ANY_MACHINE in presets:
        return ANY_MACHINE
    if slug not in presets:
        raise UsageError(f"{recipe} has no preset {slug!r}{nearest(slug, presets)}")
    return slug


def preset_notes(preset: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a preset's advice, one text each."""
    notes = preset.get("notes", [])
    return (notes,) if isinstance(notes, str) else tuple(map(str, notes))


def require_kernels(config: TrainConfig, hardware: Hardware) -> None:
    """Raise UsageError where a stage asks for fp8, an attention or compiling that cannot be here.

    Of a GPU the stage itself looks whether the kernel is installed and fits, and torch compiles.
    """
    uses_fp8(config, hardware)
    reason = why_not_compiled(hardware.device, has_compiler=hardware.has_compiler)
    if config.compile == "on" and reason is not None:
        raise UsageError(f"compile = on is not possible here: {reason}; use auto or off")
    if config.attention in ("flash", "flex") and hardware.device != "cuda":
        what = hardware.gpus[0].name if hardware.gpus else hardware.cpu
        raise UsageError(
            f"attention = {config.attention} is not possible on {what}: it needs an NVIDIA GPU; "
            "use auto or sdpa"
        )


def chosen_gpus(asked: str, slug: str, hardware: Hardware) -> int | None:
    """Return how many GPUs a preset takes that "auto" chose for their kind: all, if of one kind.

    None where the preset says how many it takes.
    """
    is_chosen = asked == "auto" and slug == hardware.preset
    is_one_kind = len({gpu.name for gpu in hardware.gpus}) == 1
    return len(hardware.gpus) if is_chosen and is_one_kind else None


def idle_notes(machine: Machine, hardware: Hardware) -> tuple[str, ...]:
    """Return what a plan says of GPUs that this machine has and the plan leaves idle."""
    used, there = len(machine.hardware.gpus), len(hardware.gpus)
    if not machine.is_here or used in (0, there):
        return ()
    return (f"It uses {used} of this machine's {there} GPUs; --nproc {there} trains on them all.",)


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

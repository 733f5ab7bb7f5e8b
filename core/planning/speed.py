"""How fast a stage trains by the table of hardware, 8-bit floats included. Torch-free, pure."""

from __future__ import annotations

from collections.abc import Iterable

from core.config import ModelConfig
from core.hardware import Hardware
from core.settings.training import TrainConfig
from runs.errors import UsageError

# nanochat's d26 on eight H100 went from 630,000 to 740,000 tokens a second by 8-bit floats. The
# ratio of the peaks, 2, is out of reach: attention, the head and the norms stay as they are.
FP8_SPEEDUP = 740 / 630
FP8_SOURCE = "nanochat's d26 on eight H100 went from 630,000 to 740,000 tokens/s"
# The width of a d24. Its published run, too, took what this speed-up makes of the estimate. A d12
# was slower with 8-bit floats; of those between nobody has published a time.
FP8_LEAST_WIDTH = 1536


def uses_fp8(config: TrainConfig, hardware: Hardware) -> bool:
    """Return whether a stage multiplies in 8-bit floats on this hardware.

    Raises:
        UsageError: they are on, and this hardware has none.
    """
    if config.fp8 == "off":
        return False
    has_peak = hardware.fp8_flops is not None
    if config.fp8 == "auto":
        return has_peak and config.compile != "off" and config.dtype in ("auto", "bfloat16")
    if not has_peak:
        what = hardware.gpus[0].name if hardware.gpus else hardware.cpu
        raise UsageError(
            f"fp8 = on is not possible on {what}: 8-bit floats need a GPU from Hopper on that the "
            "table of hardware gives fp8_flops; use auto or off"
        )
    return True


def training_flops_per_s(config: TrainConfig, model: ModelConfig, hardware: Hardware) -> float:
    """Return the speed of a stage's training, counted in the model's FLOPs."""
    return hardware.flops_per_s * (FP8_SPEEDUP if _is_faster(config, model, hardware) else 1.0)


def speed_source(
    stages: Iterable[tuple[str, TrainConfig]], model: ModelConfig, hardware: Hardware
) -> str:
    """Return how the speed of training stages is known, in words; each is named beside its own."""
    told = f"training at {hardware.speed_source}"
    in_fp8 = [(name, config) for name, config in stages if uses_fp8(config, hardware)]
    if not in_fp8:
        return told
    names = ", ".join(name for name, _ in in_fp8)
    if any(_is_faster(config, model, hardware) for _, config in in_fp8):
        return f"{told}; {names} in fp8 {FP8_SPEEDUP:.2f} times as fast, as {FP8_SOURCE}"
    return (
        f"{told}; {names} in fp8, but the time is that of bfloat16: a gain was measured from "
        f"width {FP8_LEAST_WIDTH} (d24) on, and a d12 was slower"
    )


def fp8_notes(
    stages: Iterable[tuple[str, TrainConfig]], model: ModelConfig, hardware: Hardware
) -> tuple[str, ...]:
    """Return what a plan says of 8-bit floats: where they are on, and what the time counts on.

    Raises:
        UsageError: a stage has them on, and this hardware has none.
    """
    in_fp8 = [(name, config) for name, config in stages if uses_fp8(config, hardware)]
    peak = hardware.fp8_flops
    if not in_fp8 or peak is None:
        return ()
    is_faster = any(_is_faster(config, model, hardware) for _, config in in_fp8)
    counted = f"{FP8_SPEEDUP:.2f} times the speed of" if is_faster else "no more speed than"
    return (
        f"fp8: the layers of {', '.join(name for name, _ in in_fp8)} multiply in 8-bit floats, "
        f"{peak / 1e15:.3g} PFLOP/s at the peak; the time counts on {counted} bfloat16.",
    )


def _is_faster(config: TrainConfig, model: ModelConfig, hardware: Hardware) -> bool:
    return model.n_embd >= FP8_LEAST_WIDTH and uses_fp8(config, hardware)

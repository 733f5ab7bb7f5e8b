"""Learning-rate, momentum and weight-decay schedules, and the horizon. Torch-free, pure."""

from __future__ import annotations

import math

MOMENTUM_START, MOMENTUM_PEAK, MOMENTUM_END = 0.85, 0.97, 0.90
MOMENTUM_WARMUP_STEPS = 400
MOMENTUM_WARMUP_SHARE = 0.25
CLASSIC_MOMENTUM_PEAK = 0.95
CLASSIC_MOMENTUM_WARMUP_STEPS = 300


def lr_multiplier(
    step: int, total: int, *, warmup_ratio: float, warmdown_ratio: float, final_frac: float
) -> float:
    """Return the factor on every learning rate at a step: rise, plateau, linear fall."""
    warmup, warmdown = round(warmup_ratio * total), round(warmdown_ratio * total)
    if step < warmup:
        return (step + 1) / warmup
    if step <= total - warmdown:
        return 1.0
    remaining = (total - step) / warmdown
    return remaining + (1 - remaining) * final_frac


def muon_momentum(
    step: int, total: int, *, warmdown_ratio: float, warmup_steps: int | None = None
) -> float:
    """Return Muon's momentum at a step.

    Where it is not given, the warm-up is a share of short runs, and gives way to the warm-down
    where they overlap: with a fixed 400 steps, a run of 500 would jump from its warm-up straight
    into the middle of its warm-down.
    """
    share = max(1, min(MOMENTUM_WARMUP_STEPS, round(MOMENTUM_WARMUP_SHARE * total)))
    warmup = share if warmup_steps is None else warmup_steps
    warmdown = round(warmdown_ratio * total)
    rise = fall = MOMENTUM_PEAK
    if step < warmup:
        rise = MOMENTUM_START + (MOMENTUM_PEAK - MOMENTUM_START) * step / warmup
        if warmup_steps is not None:
            return rise
    if warmdown and step >= total - warmdown:
        done = (step - (total - warmdown)) / warmdown
        fall = MOMENTUM_PEAK + (MOMENTUM_END - MOMENTUM_PEAK) * done
    return min(rise, fall)


def classic_momentum(step: int, *, warmup_steps: int | None = None) -> float:
    """Return the momentum of the classic Muon at a step: it rises, in 300 steps, and stays."""
    done = min(1.0, step / (warmup_steps or CLASSIC_MOMENTUM_WARMUP_STEPS))
    return MOMENTUM_START + (CLASSIC_MOMENTUM_PEAK - MOMENTUM_START) * done


def weight_decay_multiplier(step: int, total: int) -> float:
    """Return the factor on the weight decay of the matrices: half a cosine from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * step / total))


def steps_for_ratio(ratio: float, num_scaling_params: int, tokens_per_step: int) -> int:
    """Return optimizer steps that read `ratio` tokens per scaling parameter, at least 1."""
    return max(1, int(ratio * num_scaling_params) // tokens_per_step)

"""The differences between two runs, those first that could have parted their curves. Pure.

The order is a judgement, not a measurement: a difference that cannot have acted where the curves
part goes last, what is learned from and the model's shape come before the schedule, the schedule
before the machine. Larger steps of the same setting weigh more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from runs.analysis.diff import Changed, CodeChange

Kind = Literal["data", "config", "code", "environment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One difference. `weight` is from 0 to 1; `about` says what such a difference can do.

    acts_from: the first step at which it can have acted; None where that is not known.
    could_part: whether it can have acted where the curves part.
    """

    kind: Kind
    key: str
    values: tuple[Any, ...]
    is_known: tuple[bool, ...]
    weight: float
    about: str
    acts_from: int | None
    could_part: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prior:
    weight: float
    about: str


_SHAPE = _Prior(weight=0.9, about="the shape of the model")
_RATE = _Prior(weight=0.8, about="how far each step moves the weights")
_BATCH = _Prior(weight=0.8, about="how much each step sees")
_LENGTH = _Prior(weight=0.7, about="how long it trains, and with that its schedule")
_SCHEDULE = _Prior(weight=0.6, about="when the learning rate rises and falls")
_SEED = _Prior(weight=0.4, about="initial weights and order of the data")
_NUMBERS = _Prior(weight=0.3, about="rounding")
_MEASURING = _Prior(weight=0.1, about="what is measured, not what is learned")
_NOTHING = _Prior(weight=0.0, about="what is kept or printed")
_OTHER = _Prior(weight=0.5, about="a setting of this stage")
_LATER = _Prior(weight=0.0, about="a stage that comes later")
_EARLIER = _Prior(weight=0.6, about="a stage that this one takes its inputs from")
_CONFIG: Mapping[str, _Prior] = {
    **dict.fromkeys(
        ("depth", "arch", "aspect_ratio", "head_dim", "kv_ratio", "tied_head", "sequence_len",
         "window_pattern"), _SHAPE
    ),
    **dict.fromkeys(
        (
            "matrix_lr", "embedding_lr", "unembedding_lr", "scalar_lr", "init_lr_frac",
            "weight_decay", "muon_iterations", "momentum_warmup_steps", "pair_start_steps",
        ),
        _RATE,
    ),
    "total_batch_size": _BATCH,
    **dict.fromkeys(("num_iterations", "target_param_data_ratio", "epochs"), _LENGTH),
    **dict.fromkeys(("warmup_ratio", "warmdown_ratio", "final_lr_frac"), _SCHEDULE),
    "seed": _SEED,
    **dict.fromkeys(("dtype", "compile", "device_batch_size"), _NUMBERS),
    **dict.fromkeys(("eval_every", "eval_tokens", "eval_bytes"), _MEASURING),
    **dict.fromkeys(
        (
            "save_every", "keep_checkpoints", "keep_best", "checkpoint_budget_gb", "sample_every",
        ),
        _NOTHING,
    ),
}  # fmt: skip
_DATA: Mapping[str, _Prior] = {
    "validation text": _Prior(weight=1.0, about="what is measured: bits per byte do not compare"),
    "tokenizer": _Prior(weight=0.95, about="what a token is: losses per token do not compare"),
    "corpus": _Prior(weight=0.9, about="the text it learned from"),
    "checkpoint": _Prior(weight=0.9, about="the weights it started from"),
    "conversations": _Prior(weight=0.8, about="the conversations it learned from"),
}
_CODE_OF_TRAINING = ("core/",)
_ENVIRONMENT: Mapping[str, _Prior] = {
    "device": _Prior(weight=0.35, about="other kernels, other rounding"),
    "gpus": _Prior(weight=0.3, about="other kernels, other rounding"),
    "package torch": _Prior(weight=0.3, about="other kernels, other rounding"),
    "nproc": _Prior(weight=0.25, about="another order of summing"),
    "cpu": _Prior(weight=0.15, about="speed, and perhaps rounding"),
    "package numpy": _Prior(weight=0.1, about="speed, and perhaps rounding"),
}
_MACHINE = _Prior(weight=0.05, about="speed")
# What a learning rate that differs from a later step on leaves unexplained before it.
_SCHEDULED = frozenset(
    {"warmup_ratio", "warmdown_ratio", "final_lr_frac", "num_iterations", "target_param_data_ratio"}
)


def rank(
    *,
    config: Sequence[Changed],
    data: Sequence[Changed],
    code: CodeChange,
    environment: Sequence[Changed],
    stage: str,
    stages: Sequence[str],
    parted_at: int | None,
    schedule_from: int | None,
) -> list[Reason]:
    """Return every difference, the likeliest reason first.

    parted_at: the step where the curves part. schedule_from: the first step at which the two
    learning-rate schedules differ.
    """
    reasons = [_data_reason(change) for change in data]
    reasons += [_config_reason(change, stage, stages, schedule_from) for change in config]
    reasons += _code_reasons(code)
    reasons += [
        _reason("environment", change, _ENVIRONMENT.get(change.key, _MACHINE))
        for change in environment
    ]
    reasons = [_dated(reason, parted_at) for reason in reasons]
    return sorted(reasons, key=lambda reason: (not reason.could_part, -reason.weight, reason.key))


def _data_reason(change: Changed) -> Reason:
    return _reason("data", change, _DATA.get(change.key, _OTHER))


def _config_reason(
    change: Changed, stage: str, stages: Sequence[str], schedule_from: int | None
) -> Reason:
    at, _, name = change.key.partition(".")
    prior = _CONFIG.get(name, _OTHER)
    acts_from = schedule_from if name in _SCHEDULED else None
    if at != stage:
        is_earlier = at in stages and stages.index(at) < stages.index(stage)
        prior = _EARLIER if is_earlier and not at.startswith("eval-") else _LATER
        acts_from = None
    weight = prior.weight * (0.5 + 0.5 * _size(change.values))
    return _reason("config", change, _Prior(weight=weight, about=prior.about), acts_from)


def _code_reasons(code: CodeChange) -> list[Reason]:
    if code.is_same:
        return []
    training = [item for item in code.files if item.path.startswith(_CODE_OF_TRAINING)]
    places = sum(item.num_hunks for item in training)
    weight = 0.7 if training else 0.5 if code.problem else 0.05
    if training:
        about = f"{len(training)} files of training code, in {places} places"
    else:
        about = code.problem or "no training code among it"
    marks = tuple(
        f"{(sha or 'unknown')[:7]}{'+' if is_dirty else ''}"
        for sha, is_dirty in zip(code.commits, code.is_dirty, strict=True)
    )
    change = Changed(key="commit", values=marks, is_known=(True, True))
    return [_reason("code", change, _Prior(weight=weight, about=about))]


def _reason(kind: Kind, change: Changed, prior: _Prior, acts_from: int | None = None) -> Reason:
    return Reason(
        kind=kind,
        key=change.key,
        values=change.values,
        is_known=change.is_known,
        weight=round(prior.weight, 3),
        about=prior.about,
        acts_from=acts_from,
        could_part=True,
    )


def _dated(reason: Reason, parted_at: int | None) -> Reason:
    is_late = (
        parted_at is not None and reason.acts_from is not None and reason.acts_from > parted_at
    )
    return replace(reason, could_part=not is_late and reason.weight > 0)


def _size(values: Sequence[Any]) -> float:
    """Return how large a change is: 1 from a factor of 4 on, and for anything but numbers."""
    numbers = [value for value in values if isinstance(value, int | float) and value > 0]
    if len(numbers) < len(values) or any(isinstance(value, bool) for value in values):
        return 1.0
    return min(1.0, abs(math.log2(max(numbers) / min(numbers))) / 2)

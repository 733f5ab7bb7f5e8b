"""Which rule moves which parameter, and with what settings.

AdamW moves the tables, the head and the scalars; Muon moves the matrices inside the blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.model import GPT
from core.scaling_laws import REFERENCE_BATCH_TOKENS, rate_factor
from core.settings.training import TrainConfig

TABLE_EPS = 1e-10
# At initialisation every block adds zero and the norms undo any factor, so the gradients of the
# residual scalars are rounding noise. AdamW would turn that noise into whole steps of random
# sign, other ones for every number of ranks or threads; a real gradient is far above this.
SCALAR_EPS = 1e-7
CLASSIC_BETAS = (0.8, 0.95)
# The width that the rates of tables and head are stated for.
REFERENCE_WIDTH = 768


@dataclass(frozen=True, slots=True, kw_only=True)
class AdamGroup:
    """Parameters that AdamW moves with the same settings."""

    names: tuple[str, ...]
    lr: float
    betas: tuple[float, float]
    weight_decay: float
    eps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixGroup:
    """Matrices of one shape, which Muon moves as one stack."""

    names: tuple[str, ...]
    lr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRates:
    """What the schedules say for one step."""

    lr_multiplier: float
    momentum: float
    weight_decay: float


def adam_groups(
    model: GPT, config: TrainConfig, *, lr_scale: float, tokens_per_step: int
) -> list[AdamGroup]:
    """Return AdamW's groups; rates grow with sqrt(batch / 2^19) and shrink with sqrt(width).

    The classic optimizer has the same rates, but one pair of betas and no decay.
    """
    batch_scale = lr_scale * rate_factor(tokens_per_step)
    # The mean loss gives the row of a rare token a gradient of about one part in the batch, so
    # what counts as noise in it grows as the batch shrinks.
    table_eps = TABLE_EPS / min(1.0, tokens_per_step / REFERENCE_BATCH_TOKENS)
    width_scale = batch_scale * (model.config.n_embd / REFERENCE_WIDTH) ** -0.5
    table: list[tuple[str, float, tuple[float, float], float]] = [
        ("head.", config.unembedding_lr * width_scale, (0.8, 0.96), 0.01),
        # A head that is the embedding as well keeps the head's settings: logits feel every step.
        ("wte.", config.unembedding_lr * width_scale, (0.8, 0.96), 0.01)
        if model.config.tied_head
        else ("wte.", config.embedding_lr * width_scale, (0.8, 0.995), 0.001),
        ("value_embeds.", config.embedding_lr * width_scale * 0.5, (0.8, 0.995), 0.01),
        ("resid_lambdas", config.scalar_lr * batch_scale * 0.01, (0.8, 0.95), 0.05),
        ("x0_lambdas", config.scalar_lr * batch_scale, (0.96, 0.95), 0.0),
        ("smear_", 0.2 * lr_scale, (0.8, 0.95), 0.0),
        # Scaled like the rest: at a small batch a fixed 0.2 carries the share past 1 within ten
        # steps, where the middle of a young model cancels its end and the logits change sign.
        ("backout_", 0.4 * config.scalar_lr * batch_scale, (0.8, 0.95), 0.0),
    ]
    is_classic = config.optimizer == "classic"
    names = [name for name, _ in model.named_parameters()]
    return [
        AdamGroup(
            names=members,
            lr=lr,
            betas=CLASSIC_BETAS if is_classic else betas,
            weight_decay=0.0 if is_classic else decay,
            eps=table_eps if prefix.endswith(".") else SCALAR_EPS,
        )
        for prefix, lr, betas, decay in table
        if (members := tuple(name for name in names if name.startswith(prefix)))
    ]


def matrix_groups(
    model: GPT, config: TrainConfig, *, lr_scale: float, tokens_per_step: int
) -> list[MatrixGroup]:
    """Return Muon's groups; a matrix with more rows than columns has a higher rate.

    Its update has singular values of 1 either way, but its rows are shorter for it: the factor
    sqrt(rows / columns) keeps the size of what a step adds to an output (kellerjordan.github.io,
    "Muon").
    """
    shapes: dict[tuple[int, int], list[str]] = {}
    for name, parameter in model.named_parameters():
        if name.startswith("blocks."):
            shapes.setdefault((parameter.size(0), parameter.size(1)), []).append(name)
    lr = config.matrix_lr * lr_scale * rate_factor(tokens_per_step)
    return [
        MatrixGroup(names=tuple(names), lr=lr * math.sqrt(max(1, rows / columns)))
        for (rows, columns), names in shapes.items()
    ]

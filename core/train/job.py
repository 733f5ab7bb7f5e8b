"""What one training stage works on, and how far it has come."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from core.checkpoint import CheckpointMeta
from core.data.packing import Rows
from core.data.tokens import TokenSplit
from core.model import GPT
from core.ranks import Ranks
from core.scaling import flops_per_token
from core.settings.training import TrainConfig
from core.stages.context import StageContext
from core.tokenizer import Tokenizer
from core.train.pace import smoothed_loss
from core.train.precision import ScalerState
from core.train.spikes import SpikeState


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Everything one training stage works on.

    sample_chat: whether its samples are of a chat.
    head_start_s: what was spent on the weights before the first step; it counts as training.
    settings_hash: of the settings as they were asked for, before "auto" became a number of rows,
        which is another one on another number of ranks.
    """

    ctx: StageContext
    config: TrainConfig
    ranks: Ranks
    model: GPT
    tokenizer: Tokenizer
    rows: Rows
    validation: TokenSplit
    val_sha256: str
    total_steps: int
    lr_scale: float
    sample_chat: bool
    head_start_s: float = 0.0
    settings_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """How far a stage has come, over all attempts."""

    step: int = 0
    num_rows: int = 0
    tokens: int = 0
    train_s: float = 0.0
    flops: float = 0.0
    scaler: ScalerState | None = None
    loss_ema: float | None = None
    spikes: SpikeState | None = None

    def after(
        self,
        job: Training,
        *,
        num_rows: int,
        loss: float,
        seconds: float,
        scaler: ScalerState | None = None,
        spikes: SpikeState | None = None,
    ) -> Progressed:
        """Return where one more step has brought the stage."""
        step, tokens = self.step + 1, job.config.total_batch_size
        return Progressed(
            step=step,
            num_rows=self.num_rows + num_rows,
            tokens=self.tokens + tokens,
            train_s=self.train_s + seconds,
            flops=self.flops + tokens * flops_per_token(job.model.config),
            scaler=scaler,
            loss_ema=smoothed_loss(self.loss_ema, loss, step),
            spikes=spikes,
        )

    def meta(self, job: Training) -> CheckpointMeta:
        """Return what a checkpoint made here says of itself."""
        return CheckpointMeta(
            stage=job.ctx.stage,
            step=self.step,
            model_config=job.model.config,
            tokenizer_sha256=job.tokenizer.hash,
            config_hash=job.settings_hash,
            num_rows=self.num_rows,
            tokens=self.tokens,
            train_s=self.train_s,
            flops=self.flops,
            device_batch_size=job.config.num_device_rows,
            scaler=None if self.scaler is None else asdict(self.scaler),
            loss_ema=self.loss_ema,
            spikes=None if self.spikes is None else asdict(self.spikes),
        )


def progressed(meta: CheckpointMeta) -> Progressed:
    """Return how far the stage had come that made a checkpoint."""
    return Progressed(
        step=meta.step,
        num_rows=meta.num_rows,
        tokens=meta.tokens,
        train_s=meta.train_s,
        flops=meta.flops,
        scaler=None if meta.scaler is None else ScalerState(**meta.scaler),
        loss_ema=meta.loss_ema,
        # JSON knows no tuples.
        spikes=None
        if meta.spikes is None
        else SpikeState(losses=tuple(meta.spikes["losses"]), last_spike=meta.spikes["last_spike"]),
    )

"""The loop that base, mid and sft share: steps, checkpoints, then measurements and samples.

A checkpoint comes before the evaluation of the same step, so that a crash in an evaluation
cannot lose what was trained.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

import torch

from core import checkpoint
from core.attention.attend import attend_on
from core.checkpoint import CheckpointMeta
from core.config import TrainConfig, config_hash
from core.data.packing import Rows
from core.data.tokens import TokenSplit
from core.device import device_name, peak_flops
from core.evals.bpb import measured_text, validation_bpb
from core.evals.samples import sample_events
from core.model import GPT
from core.optim.muon_adamw import MuonAdamW
from core.ranks import Ranks
from core.scaling import flops_per_token
from core.stages.context import CheckpointRef, StageContext
from core.tokenizer import Tokenizer
from core.train.compiling import compiled_loss
from core.train.device_batch import naming_out_of_memory, settle_rows
from core.train.fp8 import use_fp8
from core.train.kernels import kernels_note
from core.train.phases import Phases, phase_metrics, phases_on
from core.train.precision import ScalerState, overflow_alert, scaler_for
from core.train.step import Stepper, StepResult
from runs.errors import StageFailed
from runs.events import Alert, Checkpoint, End, Eval, Event, Note, Progress, Step

# How often training looks for a shard that it waits for.
AWAIT_POLL_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Everything one training stage works on.

    head_start_s: what was spent on the weights before the first step; it counts as training.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """How far a stage has come, over all attempts."""

    step: int = 0
    num_rows: int = 0
    tokens: int = 0
    train_s: float = 0.0
    flops: float = 0.0
    scaler: ScalerState | None = None


def train(
    job: Training, *, stop: Callable[[], bool], resume: CheckpointRef | None
) -> Iterator[Event]:
    """Train to the last step, or to the step at which some rank is told to stop."""
    tokens_per_step = job.config.total_batch_size
    optimizer = MuonAdamW(
        job.model, job.config, job.ranks, tokens_per_step=tokens_per_step, lr_scale=job.lr_scale
    )
    job.model.is_checkpointing = job.config.activation_checkpointing
    job.model.attend = attend_on(job.config.attention, job.ranks.device, job.model.dtype)
    loss_fn, why_eager = compiled_loss(job.config.compile, job.ranks.device)
    device, is_compiled = job.ranks.device, why_eager is None
    num_fp8_layers = use_fp8(job.config.fp8, job.model, device, is_compiled=is_compiled)
    config, note = settle_rows(job.config, job.model, job.ranks, loss_fn, resume)
    if note is not None:
        yield note
    job = replace(job, config=config)
    at = Progressed(train_s=job.head_start_s)
    if resume is not None:
        at = _restore(resume, job, optimizer)
    phases = phases_on(job.ranks.device)
    stepper = Stepper(
        job.model, optimizer, job.rows, job.config, job.ranks,
        loss_fn=loss_fn, total_steps=job.total_steps, phases=phases,
        scaler=scaler_for(job.model.dtype, at.scaler),
    )  # fmt: skip
    peak = peak_flops(job.ranks.device, job.model.dtype, job.ctx.hardware)
    yield _describe(job, peak, why_eager, num_fp8_layers)
    # The first step may take half a minute: say that it is steps that are counted from here on.
    label = "building kernels" if why_eager is None else "first step"
    yield Progress(done=at.step, total=job.total_steps, unit="steps", label=label)
    if at.step:
        yield from _follow_up(job, optimizer, at, phases)
    first_step = at.step + 1 if is_compiled else None
    while at.step < job.total_steps:
        yield from _await_rows(job, at.num_rows, stepper.rows_per_step, stop)
        if job.ranks.is_any(stop()):
            yield from _save(job, optimizer, at)
            yield End(reason="stopped")
            return
        start = time.perf_counter()
        with naming_out_of_memory(job.ctx.stage, job.config, job.model, at.step):
            result = stepper.run(at.step, at.num_rows)
        seconds = time.perf_counter() - start
        at = _advance(at, stepper, seconds)
        yield _step_event(job, stepper, at, result, seconds, peak, phases.take())
        yield from overflow_alert(at.scaler)
        if at.step == first_step:
            yield from kernels_note(seconds)
        yield from _follow_up(job, optimizer, at, phases)


def _follow_up(
    job: Training, optimizer: MuonAdamW, at: Progressed, phases: Phases
) -> Iterator[Event]:
    """Save, then measure and sample, what is due after a step.

    Made again after a resume: the attempt before may have ended between the checkpoint and these.
    """
    is_last = at.step == job.total_steps
    if is_last or at.step % job.config.save_every == 0:
        with phases("save"):
            yield from _save(job, optimizer, at, is_last=is_last)
    if is_last or at.step % job.config.eval_every == 0:
        with phases("eval"):
            yield from _measure(job, at)
    if job.ranks.rank == 0 and (is_last or at.step % job.config.sample_every == 0):
        yield from sample_events(job.model, job.tokenizer, step=at.step, is_chat=job.sample_chat)


def _await_rows(job: Training, first: int, count: int, stop: Callable[[], bool]) -> Iterator[Event]:
    """Wait, on all ranks alike, until `count` rows from `first` on have arrived."""
    if not job.rows.is_growing:
        return
    while job.ranks.is_any(not job.rows.reaches(first, first + count)) and not job.ranks.is_any(
        stop()
    ):
        label = f"waiting for {job.rows.waits_for or 'other ranks'} to arrive"
        yield Progress(done=0, total=1, unit="shards", label=label)
        time.sleep(AWAIT_POLL_S)


def _restore(resume: CheckpointRef, job: Training, optimizer: MuonAdamW) -> Progressed:
    meta = checkpoint.read_meta(resume.path)
    if meta.config_hash != config_hash(job.config):
        raise StageFailed(f"checkpoint {resume.path} was made with other settings; start a new run")
    checkpoint.load_optimizer(resume.path, optimizer)
    return Progressed(
        step=meta.step,
        num_rows=meta.num_rows,
        tokens=meta.tokens,
        train_s=meta.train_s,
        flops=meta.flops,
        scaler=None if meta.scaler is None else ScalerState(**meta.scaler),
    )


def _advance(at: Progressed, stepper: Stepper, seconds: float) -> Progressed:
    tokens = stepper.config.total_batch_size
    return replace(
        at,
        step=at.step + 1,
        num_rows=at.num_rows + stepper.rows_per_step,
        tokens=at.tokens + tokens,
        train_s=at.train_s + seconds,
        flops=at.flops + tokens * flops_per_token(stepper.model.config),
        scaler=stepper.scaler_state,
    )


def _step_event(
    job: Training,
    stepper: Stepper,
    at: Progressed,
    result: StepResult,
    seconds: float,
    peak: float | None,
    phase_s: dict[str, float],
) -> Step:
    tokens = job.config.total_batch_size
    metrics = {
        "loss": result.loss,
        "tokens": at.tokens,
        "train_s": round(at.train_s, 4),
        "flops": at.flops,
        "tok_per_sec": round(tokens / seconds, 1),
        "lrm": round(stepper.rates(at.step - 1).lr_multiplier, 6),
        "grad_norm": result.grad_norm,
        "epoch": job.rows.epoch_of(at.num_rows - 1),
        **phase_metrics(phase_s),
    }
    if at.scaler is not None:
        metrics |= {"loss_scale": at.scaler.scale, "skipped": float(result.is_skipped)}
    if result.is_skipped:
        del metrics["grad_norm"]
    if peak is not None:
        achieved = tokens * flops_per_token(job.model.config) / seconds
        metrics["mfu"] = round(achieved / (peak * job.ranks.world_size), 4)
    return Step(step=at.step, total_steps=job.total_steps, metrics=metrics)


def _save(
    job: Training, optimizer: MuonAdamW, at: Progressed, *, is_last: bool = False
) -> Iterator[Event]:
    """Commit a checkpoint on rank 0. A full disk loses a checkpoint, never the training."""
    if at.step == 0:
        return
    # Every rank has a part of the moments to give.
    moments = optimizer.gathered_state()
    if moments is None:
        return
    meta = CheckpointMeta(
        stage=job.ctx.stage,
        step=at.step,
        model_config=job.model.config,
        tokenizer_sha256=job.tokenizer.hash,
        config_hash=config_hash(job.config),
        num_rows=at.num_rows,
        tokens=at.tokens,
        train_s=at.train_s,
        flops=at.flops,
        device_batch_size=job.config.num_device_rows,
        scaler=None if at.scaler is None else asdict(at.scaler),
    )
    try:
        saved = checkpoint.save(job.ctx.checkpoints_dir, job.model, moments, meta)
    except OSError as error:
        if is_last:
            raise StageFailed(
                f"the final checkpoint of {job.ctx.stage} could not be written ({error}); free "
                "some disk space, then: labcli runs resume"
            ) from error
        yield Alert(
            code="checkpoint-failed",
            severity="error",
            message=f"no checkpoint at step {at.step}: {error}; training goes on",
        )
        return
    checkpoint.prune(job.ctx.checkpoints_dir, job.config.keep_checkpoints)
    yield Checkpoint(
        step=at.step,
        path=job.ctx.relative(saved.path),
        bytes=saved.num_bytes,
        sha256=saved.sha256,
    )


def _measure(job: Training, at: Progressed) -> Iterator[Event]:
    if job.ranks.rank != 0:
        return
    yield Eval(
        step=at.step,
        val_bpb=validation_bpb(
            job.model,
            job.tokenizer,
            job.validation,
            num_tokens=job.config.eval_tokens,
            num_bytes=job.config.eval_bytes,
            batch_size=job.config.num_device_rows,
        ),
        val_sha256=measured_text(job.val_sha256, job.config.eval_bytes),
    )


def _describe(
    job: Training, peak: float | None, why_eager: str | None, num_fp8_layers: int
) -> Note:
    where = job.ranks.device.type
    yardstick = "this CPU's own best matmul" if where == "cpu" else "the vendor's peak"
    how = why_eager or "training is compiled; the first step builds the kernels"
    return Note(
        message=f"{how}; MFU is against {yardstick}",
        data={
            "dtype": str(job.model.dtype).removeprefix("torch."),
            "is_compiled": why_eager is None,
            "attention": job.model.attend.backend,
            "num_fp8_layers": num_fp8_layers,
            "peak_flops": peak,
            "device": device_name(job.ranks.device),
            "threads": torch.get_num_threads(),
            "num_params": sum(p.numel() for p in job.model.parameters()),
        },
    )

"""The loop that base, mid and sft share: steps, checkpoints, then measurements and samples.

A checkpoint comes before the evaluation of the same step, so that a crash in an evaluation
cannot lose what was trained. On a GPU a step's numbers are read when the next one was launched;
whatever needs the model of a certain step first reads all that is still on its way.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from core import checkpoint
from core.attention.attend import attend_on
from core.config import config_hash
from core.device import peak_flops
from core.evals.bpb import measured_text, validation_bpb
from core.evals.samples import sample_events
from core.loss import LossFn
from core.optim.muon_adamw import MuonAdamW
from core.stages.context import CheckpointRef
from core.train.aftermath import Aftermath
from core.train.allocator import keep_freed_memory
from core.train.compiling import compiled_loss, naming_failed_kernels
from core.train.device_batch import naming_out_of_memory, settle_rows
from core.train.fp8 import use_fp8
from core.train.job import Progressed, Training, progressed
from core.train.kernels import kernels_note
from core.train.phases import Phases, phases_on
from core.train.precision import overflow_alert, scaler_for
from core.train.saving import Saver
from core.train.spikes import SpikeWatch
from core.train.step import Flags, Launched, Stepper, runs_ahead
from core.train.telling import Setup, StepTeller, setup_note
from core.train.trouble import failure_events, spike_events
from runs.errors import StageFailed
from runs.events import End, Eval, Event, Progress

# How often training looks for a shard that it waits for.
AWAIT_POLL_S = 0.5
# So many steps before a step its rows are looked for: what all ranks found comes in time with the
# numbers of a step, also where those are read a step later.
STEPS_AHEAD = 2


def train(
    job: Training, *, stop: Callable[[], bool], resume: CheckpointRef | None
) -> Iterator[Event]:
    """Train to the last step, or to the step at which some rank is told to stop."""
    if job.ranks.device.type == "cpu":
        keep_freed_memory()
    optimizer = MuonAdamW(
        job.model,
        job.config,
        job.ranks,
        tokens_per_step=job.config.total_batch_size,
        lr_scale=job.lr_scale,
    )
    loss_fn, setup = _set_up(job)
    config, note = settle_rows(job.config, job.model, job.ranks, loss_fn, resume)
    if note is not None:
        yield note
    asked = job.ctx.config_hash or config_hash(job.config)
    job = replace(job, config=config, settings_hash=asked)
    at = Progressed(train_s=job.head_start_s)
    if resume is not None:
        at = _restore(resume, job, optimizer)
    phases = phases_on(job.ranks.device)
    stepper = Stepper(
        job.model, optimizer, job.rows, job.config, job.ranks,
        loss_fn=loss_fn, total_steps=job.total_steps, phases=phases,
        scaler=scaler_for(job.model.dtype, at.scaler), runs_ahead=runs_ahead(job.ranks.device),
    )  # fmt: skip
    yield setup_note(job, setup)
    # The first step may take half a minute: say that it is steps that are counted from here on.
    label = "building kernels" if setup.is_compiled else "first step"
    yield Progress(done=at.step, total=job.total_steps, unit="steps", label=label)
    loop = _Loop(job, stepper, phases, Saver(job, optimizer), StepTeller(job, setup, phases), at)
    yield from loop.run(stop, is_compiled=setup.is_compiled)


def _set_up(job: Training) -> tuple[LossFn, Setup]:
    """Give the model the kernels that settings and machine allow; return its loss, and how."""
    config, model, device = job.config, job.model, job.ranks.device
    model.is_checkpointing = config.activation_checkpointing
    model.attend = attend_on(config.attention, device, model.dtype)
    loss_fn, why_eager = compiled_loss(config.compile, device)
    setup = Setup(
        why_eager=why_eager,
        num_fp8_layers=use_fp8(config.fp8, model, device, is_compiled=why_eager is None),
        peak_flops=peak_flops(device, model.dtype, job.ctx.hardware),
    )
    return loss_fn, setup


class _Loop:
    """The steps of one attempt; `at` is the last one whose numbers were read."""

    def __init__(
        self,
        job: Training,
        stepper: Stepper,
        phases: Phases,
        saver: Saver,
        teller: StepTeller,
        at: Progressed,
    ) -> None:
        self._job = job
        self._stepper = stepper
        self._phases = phases
        self._saver = saver
        self._teller = teller
        self._at = at
        self._launched: deque[Launched] = deque()
        self._was_told_to_stop = False
        self._last_read_s = 0.0
        # All ranks have the rows of the steps before this one.
        self._steps_here = 0
        self._started_s = at.train_s
        warmup = math.ceil(job.config.warmup_ratio * job.total_steps)
        self._spikes = SpikeWatch(at.spikes, num_warmup_steps=warmup)
        self._aftermath = Aftermath(job.ctx)

    def run(self, stop: Callable[[], bool], *, is_compiled: bool) -> Iterator[Event]:
        """Train to the end, or until the ranks agree to stop."""
        first = self._at.step
        if first:
            yield from self._follow_up(first)
        for step in range(first, self._job.total_steps):
            yield from self._await_rows(step, stop)
            if self._is_stopping(stop):
                yield from self._read()
                yield from self._saver.save(self._at, is_stopping=True)
                yield End(reason="stopped")
                return
            self._launch(step, stop)
            yield from self._read(but=1 if self._stepper.runs_ahead else 0)
            if step == first and is_compiled:
                yield from self._read()
                yield from kernels_note(self._at.train_s - self._started_s)
            yield from self._follow_up(step + 1)

    def _follow_up(self, step: int) -> Iterator[Event]:
        """Save, then measure and sample, what is due after a step.

        Made again after a resume: the attempt before may have ended between the checkpoint and
        these.
        """
        config = self._job.config
        is_last = step == self._job.total_steps
        if is_last or _is_due(step, config.save_every):
            yield from self._read()
            with self._phases("save"):
                yield from self._saver.save(self._at, is_last=is_last)
        if is_last or _is_due(step, config.eval_every):
            yield from self._read()
            with (
                self._phases("eval"),
                naming_out_of_memory(self._job.ctx.stage, config, self._job.model, step - 1),
            ):
                yield from self._measure()
        if is_last or _is_due(step, config.sample_every):
            yield from self._read()
            yield from self._sample()

    def _is_stopping(self, stop: Callable[[], bool]) -> bool:
        """Return whether to stop, the same on all ranks: then it comes with a step's numbers."""
        return self._was_told_to_stop or (self._job.ranks.world_size == 1 and stop())

    def _await_rows(self, step: int, stop: Callable[[], bool]) -> Iterator[Event]:
        """Wait, on all ranks alike, until the rows of a step have arrived.

        Mostly the ranks said so with the numbers of a step before.
        """
        rows, ranks = self._job.rows, self._job.ranks
        if not rows.is_growing or step < self._steps_here:
            return
        first, until = self._at.num_rows, self._first_row(step + 1)
        while ranks.is_any(not rows.reaches(first, until)):
            if ranks.is_any(stop()):
                self._was_told_to_stop = True
                return
            label = f"waiting for {rows.waits_for or 'other ranks'} to arrive"
            yield Progress(done=0, total=1, unit="shards", label=label)
            time.sleep(AWAIT_POLL_S)

    def _launch(self, step: int, stop: Callable[[], bool]) -> None:
        job, rows = self._job, self._job.rows
        ahead = min(step + 1 + STEPS_AHEAD, job.total_steps)
        # From the first row that was not read of: its documents may have to be told.
        is_here = not rows.is_growing or rows.reaches(self._at.num_rows, self._first_row(ahead))
        own = Flags(is_stopping=stop(), is_waiting=not is_here)
        with (
            naming_out_of_memory(job.ctx.stage, job.config, job.model, step),
            naming_failed_kernels(job.ctx.stage),
        ):
            self._launched.append(self._stepper.launch(step, self._first_row(step), own))

    def _first_row(self, step: int) -> int:
        """Return the first row of step `step` + 1, counted from the last one that was read."""
        return self._at.num_rows + (step - self._at.step) * self._stepper.rows_per_step

    def _read(self, *, but: int = 0) -> Iterator[Event]:
        """Tell the steps that were launched, but for the newest few."""
        while len(self._launched) > but:
            launched = self._launched.popleft()
            result = launched.read()
            now = time.perf_counter()
            # A step launched ahead takes the device from when the one before it was done.
            seconds = now - max(launched.begun_s, self._last_read_s)
            self._last_read_s = now
            num_rows = self._stepper.rows_per_step
            if not result.is_finite:
                yield from failure_events(self._job, launched, result, num_rows=num_rows)
            self._was_told_to_stop |= result.agreed.is_stopping
            if not result.agreed.is_waiting:
                self._steps_here = launched.step + STEPS_AHEAD
            spike = self._spikes.look(launched.step, result.loss)
            self._at = self._at.after(
                self._job,
                num_rows=num_rows,
                loss=result.loss,
                seconds=seconds,
                scaler=self._stepper.scaler_state,
                spikes=self._spikes.state,
            )
            lr_multiplier = self._stepper.rates(launched.step - 1).lr_multiplier
            yield self._teller.event(self._at, result, seconds=seconds, lr_multiplier=lr_multiplier)
            yield from overflow_alert(self._at.scaler)
            yield from self._aftermath.add(launched.step, result.loss)
            if spike is not None:
                yield from spike_events(self._job, spike, launched, result, num_rows=num_rows)
                self._aftermath.begin(launched.step)

    def _measure(self) -> Iterator[Event]:
        job = self._job
        val_bpb = validation_bpb(
            job.model,
            job.tokenizer,
            job.validation,
            num_tokens=job.config.eval_tokens,
            num_bytes=job.config.eval_bytes,
            batch_size=job.config.num_device_rows,
            ranks=job.ranks,
        )
        self._saver.measured(self._at.step, val_bpb)
        if job.ranks.rank == 0:
            text = measured_text(job.val_sha256, job.config.eval_bytes)
            yield Eval(step=self._at.step, val_bpb=val_bpb, val_sha256=text)

    def _sample(self) -> Iterator[Event]:
        job = self._job
        if job.ranks.rank == 0:
            yield from sample_events(
                job.model, job.tokenizer, step=self._at.step, is_chat=job.sample_chat
            )


def _is_due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


def _restore(resume: CheckpointRef, job: Training, optimizer: MuonAdamW) -> Progressed:
    meta = checkpoint.read_meta(resume.path)
    if meta.config_hash != job.settings_hash:
        raise StageFailed(f"checkpoint {resume.path} was made with other settings; start a new run")
    checkpoint.load_optimizer(resume.path, optimizer)
    return progressed(meta)

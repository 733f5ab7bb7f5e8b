"""The worker: executes one attempt of one stage on one rank, and writes down what it says.

`python -m labcli.worker RUN_DIR STAGE ATTEMPT`, started by the supervisor or by torchrun.
Exit code 0: finished, or stopped as it was told; 1: failed. Bookkeeping never ends a stage.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from core.config import build_stage_config
from core.files import remove_left_overs
from core.hardware import nvidia_gpus
from core.hardware_table import HardwareTable, shipped_table
from core.stages.context import CheckpointRef, Stage, StageContext
from labcli.working.compute_env import compute_environment
from labcli.working.journal import Journal
from labcli.working.last_words import answer_with_stacks, write_error_file
from labcli.working.stage_inputs import resolve_inputs
from runs.errors import LabError, UsageError, nearest
from runs.events import End, EndReason, Error, Note, Start
from runs.paths import RunPaths
from runs.record import RunRecord, load_record
from runs.settings import load_settings
from runs.supervision.autopsy import stacks_file
from runs.views import checkpoints
from runs.views.summary import write_summary

_TRACEBACK_CHARS = 2000

STAGE_MODULES: Mapping[str, str] = {
    "data": "core.stages.data",
    "tok": "core.stages.tok",
    "base": "core.stages.base",
    "mid": "core.stages.mid",
    "sft": "core.stages.sft",
    "eval-base": "core.stages.evaluate",
    "eval-mid": "core.stages.evaluate",
    "eval-sft": "core.stages.evaluate",
    "report": "core.stages.report",
    "selfchat": "core.stages.selfchat",
    "compare": "core.stages.compare",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """The place of this process among those that execute the stage."""

    rank: int = 0
    world_size: int = 1
    local_rank: int | None = None


def read_rank(env: Mapping[str, str]) -> Rank:
    """Return the place that torchrun gave this process; alone without torchrun."""
    local_rank = env.get("LOCAL_RANK")
    return Rank(
        rank=int(env.get("RANK", "0")),
        world_size=int(env.get("WORLD_SIZE", "1")),
        local_rank=None if local_rank is None else int(local_rank),
    )


class Worker:
    """One attempt of one stage on one rank."""

    def __init__(
        self,
        run_dir: Path,
        stage: str,
        attempt: int,
        *,
        rank: Rank,
        load: Callable[[str], Stage] | None = None,
    ) -> None:
        self._paths = RunPaths(run_dir)
        self._stage = stage
        self._attempt = attempt
        self._rank = rank
        self._load = load or load_stage
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask the stage to end at its next safe point."""
        self._stop.set()

    def run(self) -> int:
        """Execute the stage and return the exit code of the process."""
        path = self._paths.events(self._stage, self._attempt, self._rank.rank)
        with Journal(path, rank=self._rank.rank) as journal:
            try:
                reason = self._execute(journal)
            except Exception as error:
                told = describe(error)
                journal.write(told)
                write_error_file(os.environ, told.message, told.traceback)
                reason = "failed"
            # Last of all: whoever reads it may count on everything else being there.
            journal.write(End(reason=reason))
        return 1 if reason == "failed" else 0

    def _execute(self, journal: Journal) -> EndReason:
        record = load_record(self._paths.run_dir)
        entry = record.stage(self._stage)
        checkpoint = checkpoints.newest(self._paths.checkpoints_dir(self._stage))
        resume = CheckpointRef(path=checkpoint.path, step=checkpoint.step) if checkpoint else None
        device = pick_device(record, self._rank)
        journal.write(
            Start(
                stage=self._stage,
                attempt=self._attempt,
                config_hash=entry.config_hash,
                host=socket.gethostname(),
                device=device,
                torch=_torch_build(),
                world_size=self._rank.world_size,
                argv=tuple(sys.argv),
                resumed_from=resume.step if resume else None,
            )
        )
        stage = self._load(self._stage)
        if self._stage == "report" and self._rank.rank == 0:
            write_summary(self._paths.run_dir)
        config = build_stage_config(self._stage, entry.config)
        ctx = self._context(record, device, self._hardware(journal))
        reason: EndReason = "finished"
        for event in stage(config, ctx, stop=self._stop.is_set, resume=resume):
            if isinstance(event, End):
                reason = event.reason
            else:
                journal.write(event)
        return reason

    def _hardware(self, journal: Journal) -> HardwareTable:
        """Return the table with the user's cards; settings that cannot be read end no stage."""
        try:
            added = load_settings(self._paths.home, os.environ).hardware
            return shipped_table().with_cards(added, where="settings.toml")
        except UsageError as error:
            journal.write(Note(message=f"the lab home's settings are left out: {error}"))
            return shipped_table()

    def _context(self, record: RunRecord, device: str, hardware: HardwareTable) -> StageContext:
        artifacts = self._paths.artifacts_dir(self._stage)
        weights = self._paths.checkpoints_dir(self._stage)
        data = self._paths.home.data_dir
        for directory in (artifacts, data):
            directory.mkdir(parents=True, exist_ok=True)
        if self._rank.rank == 0:
            # It alone writes artifacts, and the attempts before this one are over.
            remove_left_overs(artifacts)
        return StageContext(
            stage=self._stage,
            run_dir=self._paths.run_dir,
            artifacts_dir=artifacts,
            checkpoints_dir=weights,
            data_dir=data,
            inputs=resolve_inputs(self._paths, record, self._stage),
            rank=self._rank.rank,
            world_size=self._rank.world_size,
            device=device,
            config_hash=record.stage(self._stage).config_hash,
            hardware=hardware,
        )


def load_stage(name: str) -> Stage:
    """Return the entry point of a stage, importing its module."""
    if name not in STAGE_MODULES:
        raise UsageError(f"unknown stage {name!r}{nearest(name, STAGE_MODULES)}")
    stage: Stage = importlib.import_module(STAGE_MODULES[name]).run
    return stage


def pick_device(record: RunRecord, rank: Rank) -> str:
    """Return the device that the plan names; each rank on a GPU machine has its own."""
    device = str(record.plan.get("device", "cpu"))
    if device == "cuda" and rank.local_rank is not None:
        return f"cuda:{rank.local_rank}"
    return device


def describe(error: Exception) -> Error:
    """Return the event for an error; an expected one needs no traceback."""
    if isinstance(error, LabError):
        return Error(type=type(error).__name__, message=str(error), traceback="")
    text = "".join(traceback.format_exception(error))
    sys.stderr.write(text)
    message = f"{type(error).__name__}: {error}"
    return Error(type=type(error).__name__, message=message, traceback=text[-_TRACEBACK_CHARS:])


def _torch_build() -> str | None:
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return None


def _stop_on_signals(worker: Worker) -> None:
    def stop(number: int, frame: object) -> None:
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _end_with_parent() -> None:
    # torchrun starts every rank in its own session: killed, it would leave them on the GPUs.
    if sys.platform.startswith("linux"):
        import ctypes

        parent = os.getppid()
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)


def main(argv: list[str]) -> int:
    """Run the attempt that RUN_DIR STAGE ATTEMPT name and return the exit code."""
    faulthandler.enable()
    run_dir, stage, attempt = argv
    home = RunPaths(Path(run_dir)).home
    names = [gpu.name for gpu in nvidia_gpus()]
    os.environ.update(
        compute_environment(os.environ, kernels_dir=home.kernels_dir, gpu_names=names)
    )
    rank = read_rank(os.environ)
    worker = Worker(Path(run_dir), stage, int(attempt), rank=rank)
    answer_with_stacks(stacks_file(RunPaths(Path(run_dir)), stage, int(attempt), rank.rank))
    _stop_on_signals(worker)
    if rank.world_size > 1:
        _end_with_parent()
    return worker.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

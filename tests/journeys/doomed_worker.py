"""The worker of every run, which dies without a word at the points that doom.json names.

A doom is {"stage", "attempt", "rank", "point", "takes_all"}; with `takes_all` it kills the
supervisor and every other process of the run first. Its point is one of

said:KIND:N        right after the event of that kind at step N was written
unsaid:KIND:N      when that event was made, and before it is written
file:NAME:N        at the N-th touch of a path that holds this name
cut:NAME:N         at the first byte that is written to a file after that touch
removing:NAME:N    when the N-th directory whose path holds this name begins to be removed
torn:N             in the middle of writing the first large file after step N
measuring:N        in the validation that follows step N

`progress` and `note` have no step: there N counts the events of that kind.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.settings.setting import StageConfig
from core.stages.context import CheckpointRef, Stage, StageContext
from labcli import worker
from runs.events import Event
from runs.supervision.process import RUN_TAG, find_family, send_signal

DOOM_FILE = "doom.json"
# Between the events of a short run, which are smaller, and any file of weights.
TORN_BYTES = 60_000
_TOUCHES = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Doom:
    """Where one rank of one attempt dies."""

    stage: str
    point: str
    attempt: int = 1
    rank: int = 0
    takes_all: bool = False


class Doomed:
    """The entry point of a stage, with a doom upon it."""

    def __init__(self, stage: Stage, doom: Doom) -> None:
        self._stage = stage
        self._takes_all = doom.takes_all
        self._how, _, rest = doom.point.partition(":")
        self._what, _, number = rest.rpartition(":")
        self._number = int(number)
        self._touches = 0
        self._kinds: dict[str, int] = {}

    def __call__(
        self,
        config: StageConfig,
        ctx: StageContext,
        *,
        stop: Callable[[], bool],
        resume: CheckpointRef | None,
    ) -> Iterator[Event]:
        """Do the work of the stage as far as the doom."""
        if self._how in ("file", "cut", "removing"):
            sys.addaudithook(self._touch)
        for event in self._stage(config, ctx, stop=stop, resume=resume):
            if self._how == "unsaid" and self._is_meant(event):
                self._die()
            yield event
            if self._how == "said" and self._is_meant(event):
                self._die()
            if type(event).__name__ == "Step" and getattr(event, "step", 0) == self._number:
                self._arm()

    def _is_meant(self, event: Event) -> bool:
        kind = type(event).__name__.lower()
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        return kind == self._what and getattr(event, "step", self._kinds[kind]) == self._number

    def _arm(self) -> None:
        if self._how == "torn":
            tear()
        elif self._how == "measuring":
            import torch

            def call(*args: object) -> None:
                if not torch.is_grad_enabled():
                    self._die()

            torch.nn.modules.module.register_module_forward_pre_hook(call)

    def _touch(self, name: str, args: tuple[Any, ...]) -> None:
        if name not in _TOUCHES or self._what not in str(args[0]):
            return
        self._touches += self._how != "removing" or name == "shutil.rmtree"
        if self._touches == self._number:
            # Before anything else: what comes now is more touches.
            self._number = 0
            tear(0) if self._how == "cut" else self._die()

    def _die(self) -> None:
        if self._takes_all:
            # A supervisor that sees its worker die would write that down.
            family = sorted(find_family(os.environ[RUN_TAG]), key=lambda member: member.pid)
            for member in family:
                send_signal(member, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def tear(num_bytes: int = TORN_BYTES) -> None:
    """Let the kernel kill this process as soon as a file of its grows beyond some bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


def find_doom(run_dir: Path, stage: str, attempt: int, rank: worker.Rank) -> Doom | None:
    """Return what is to happen to this process."""
    for entry in json.loads((run_dir / DOOM_FILE).read_bytes()):
        doom = Doom(**entry)
        if (doom.stage, doom.attempt, doom.rank) == (stage, attempt, rank.rank):
            return doom
    return None


def main(argv: list[str]) -> int:
    """Run the attempt that RUN_DIR STAGE ATTEMPT name, as far as its doom."""
    run_dir, stage, attempt = Path(argv[0]), argv[1], int(argv[2])
    doom = find_doom(run_dir, stage, attempt, worker.read_rank(os.environ))
    if doom is not None:
        whole = worker.load_stage(stage)
        worker.load_stage = lambda name: Doomed(whole, doom)
    return worker.main(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

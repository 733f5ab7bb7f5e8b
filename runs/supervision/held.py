"""The process of a stage in its supervisor's hand: one that it started, or one that it took over.

A process that was taken over is nobody's child here, so its exit code cannot be learnt; how it
ended is told by its events.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runs.supervision.process import ProcessIdentity, identify, is_alive, send_signal

_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """How a process ended; neither is set where that cannot be learnt."""

    code: int | None = None
    signal: int | None = None


class Held(Protocol):
    """A process that is waited for."""

    @property
    def pid(self) -> int:
        """Return its process id."""
        ...

    def wait(self, timeout_s: float) -> Returned | None:
        """Return how it ended, or None when it has not within the time."""
        ...

    def send(self, number: signal.Signals) -> None:
        """Signal it, if it is still there."""
        ...


class Spawned:
    """A child of this process, in a session of its own, with its output in a file."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        fds: Sequence[int] = (),
    ):
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as stream:
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=env,
                start_new_session=True,
                pass_fds=fds,
            )
        self.identity = identify(self._child.pid)

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._child.pid

    def wait(self, timeout_s: float) -> Returned | None:
        """Return how it ended, or None when it has not within the time."""
        try:
            code = self._child.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return None
        return Returned(signal=-code) if code < 0 else Returned(code=code)

    def send(self, number: signal.Signals) -> None:
        """Signal it, if it is still there."""
        self._child.send_signal(number)


class Adopted:
    """A process that another supervisor started and left behind."""

    def __init__(self, identity: ProcessIdentity) -> None:
        self._identity = identity
        self._fd = _open_pidfd(identity.pid)

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._identity.pid

    def wait(self, timeout_s: float) -> Returned | None:
        """Return that it ended, or None when it has not within the time."""
        deadline = time.monotonic() + timeout_s
        while is_alive(self._identity):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            self._pause(left_s)
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        return Returned()

    def send(self, number: signal.Signals) -> None:
        """Signal it, if it is still there."""
        send_signal(self._identity, number)

    def _pause(self, limit_s: float) -> None:
        if self._fd is None:
            time.sleep(min(limit_s, _POLL_S))
            return
        # The descriptor becomes readable at the very moment that the process ends.
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        poller.poll(limit_s * 1000)


def _open_pidfd(pid: int) -> int | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        # A kernel before 5.3, or a process that has just gone: `wait` looks for itself.
        return None

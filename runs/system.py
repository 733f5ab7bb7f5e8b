"""The few things that a supervisor asks of the operating system itself."""

from __future__ import annotations

import fcntl
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runs.errors import Busy

_POLL_S = 0.05
_RANK_SIGNAL = re.compile(rb"exitcode\s*:\s*-(\d+)")


@contextmanager
def hold_lock(path: Path, *, wait_s: float, what: str) -> Iterator[None]:
    """Hold the lock file `path`; raise Busy, naming the holder, when it stays taken.

    The kernel frees the lock when its holder dies, however it dies.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as stream:
        deadline = time.monotonic() + wait_s
        while not _try_lock(stream.fileno()):
            if time.monotonic() >= deadline:
                stream.seek(0)
                holder = stream.read(32).decode("ascii", errors="replace").strip() or "unknown"
                raise Busy(f"{what} is held by process {holder}; wait for it to end")
            time.sleep(_POLL_S)
        stream.truncate(0)
        stream.write(str(os.getpid()).encode())
        stream.flush()
        yield


def become_subreaper() -> None:
    """Adopt ranks orphaned by the death of torchrun, so that they can be reaped (Linux)."""
    if sys.platform.startswith("linux"):
        import ctypes

        pr_set_child_subreaper = 36
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def reap() -> None:
    """Collect every child that has ended; call it only when no child is waited for elsewhere."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return


def rank_signal(log: Path) -> int | None:
    """Return the signal that killed a rank, as torchrun reports it in its log, or None."""
    try:
        found = _RANK_SIGNAL.search(log.read_bytes()[-20_000:])
    except OSError:
        return None
    return int(found[1]) if found else None


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

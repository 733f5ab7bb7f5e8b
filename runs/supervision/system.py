"""The few things that a supervisor asks of the operating system itself."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runs.errors import Busy

_POLL_S = 0.05
_TAIL_BYTES = 4000
_MAX_WORDS = 300
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
    """Return the signal that killed a rank, as torchrun reports it in its log, or None.

    torchrun itself ends the others by SIGTERM, and may name one of them first.
    """
    try:
        found = _RANK_SIGNAL.findall(log.read_bytes()[-20_000:])
    except OSError:
        return None
    signals = [int(number) for number in found]
    return next((one for one in signals if one != signal.SIGTERM), signals[0] if signals else None)


def last_words(log_dir: Path, log: Path | None) -> str | None:
    """Return why an attempt ended, from the error file of a rank, else from the end of its log.

    torchrun has each rank write error.json beside its own log, in `log_dir`; what torchrun
    itself prints at the end says nothing, so that its log is left out.
    """
    for path in sorted(log_dir.rglob("error.json")):
        try:
            message = json.loads(path.read_bytes())["message"]
            text = message["message"] if isinstance(message, dict) else message
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return _first_line(str(text))
    if log is None:
        return None
    try:
        text = log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", errors="replace").strip()
    except OSError:
        return None
    return text.splitlines()[-1][:_MAX_WORDS] if text else None


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:_MAX_WORDS] if text.strip() else ""


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""Processes beside this one: how many there may be, and that none outlives it.

Imported by each of them at its start: neither torch nor pyarrow.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading


def usable_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start_child() -> None:
    """In a new process: let Ctrl-C reach the parent alone, and end when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

"""What a section of this process costs: wall and CPU seconds, and the process's peak memory."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path


class Meter:
    """Adds up the sections it is entered for; CPU seconds are those of every thread."""

    def __init__(self) -> None:
        self.wall_s = 0.0
        self.cpu_s = 0.0
        self._wall_start_s = 0.0
        self._cpu_start_s = 0.0

    def __enter__(self) -> Meter:
        self._cpu_start_s = _cpu_s()
        self._wall_start_s = time.perf_counter()
        return self

    def __exit__(self, *exc: object) -> None:
        self.wall_s += time.perf_counter() - self._wall_start_s
        self.cpu_s += _cpu_s() - self._cpu_start_s


def peak_memory_bytes() -> int:
    """Return the highest resident size that this process has had."""
    # Linux hands ru_maxrss on through fork and exec, so a child of a large process starts with
    # its parent's peak; the high-water mark of the address space starts afresh.
    if sys.platform.startswith("linux"):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

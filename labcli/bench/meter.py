"""What a section of this process costs: wall and CPU seconds."""

from __future__ import annotations

import resource
import time


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


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

"""The lock of the lab's data, waited for by a command."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from labcli import diagnostics
from runs.paths import LabHome

POLL_S = 0.5


@contextmanager
def holding(home: LabHome) -> Iterator[None]:
    """Hold the lock of the data directory, once whoever holds it is done."""
    from core.data.publish import DataLock

    status = diagnostics.StatusLine()
    with DataLock(home.data_dir) as lock:
        while not lock.try_acquire():
            status.update("waiting for a data stage that is at work")
            time.sleep(POLL_S)
        status.clear()
        yield

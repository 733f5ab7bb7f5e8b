"""The default text: the corpus that the data stage harvests, found or built in the lab home."""

from __future__ import annotations

import time
from pathlib import Path

from labcli.diagnostics import StatusLine, say
from runs.errors import LabError

POLL_S = 0.5


def harvested_text(data_dir: Path) -> Path:
    """Return the directory of the embedded corpus; a missing one is built for all later runs."""
    from core.data.corpus import build_corpus, find_corpus, num_readers
    from core.data.publish import DataLock
    from core.data.sources import embedded_sources

    sources = embedded_sources()
    found = find_corpus(data_dir, sources)
    if found is not None:
        return found.path
    status = StatusLine()
    say("harvesting the documentation on this machine, once")
    with DataLock(data_dir) as lock:
        while not lock.try_acquire():
            status.update("waiting for a data stage that is at work")
            time.sleep(POLL_S)
        found = find_corpus(data_dir, sources)
        if found is None:
            building = build_corpus(
                data_dir, sources, num_processes=num_readers(), stop=lambda: False
            )
            try:
                while True:
                    progress = next(building)
                    status.update(f"{progress.label}: {progress.done} of {progress.total} files")
            except StopIteration as end:
                found = end.value
    status.clear()
    if found is None:
        raise LabError("the harvest ended without a corpus; run: labcli run data")
    return found.path

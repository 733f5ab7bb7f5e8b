"""The corpus that the data stage harvests, found or built in the lab home for a command."""

from __future__ import annotations

import time
from pathlib import Path

from labcli import diagnostics
from runs.errors import LabError
from runs.paths import LabHome

POLL_S = 0.5


def harvested_corpus(home: LabHome) -> Path:
    """Return the directory of the embedded corpus; where it is missing, it is built and kept."""
    from core.data.corpus import build_corpus, find_corpus, num_readers
    from core.data.publish import DataLock
    from core.data.sources import embedded_sources

    sources = embedded_sources()
    corpus = find_corpus(home.data_dir, sources)
    if corpus is not None:
        return corpus.path
    diagnostics.say("reading the documentation on this machine, once, for a corpus")
    status = diagnostics.StatusLine()
    with DataLock(home.data_dir) as lock:
        while not lock.try_acquire():
            status.update("waiting for a data stage that is at work")
            time.sleep(POLL_S)
        # Whoever held the lock may have built it.
        corpus = find_corpus(home.data_dir, sources)
        if corpus is None:
            building = build_corpus(
                home.data_dir, sources, num_processes=num_readers(), stop=lambda: False
            )
            try:
                while True:
                    step = next(building)
                    status.update(f"{step.label}: {step.done:.0f} of {step.total:.0f} {step.unit}")
            except StopIteration as end:
                corpus = end.value
            finally:
                status.clear()
    if corpus is None:
        raise LabError("the documentation gave no corpus; run: labcli run data")
    return corpus.path

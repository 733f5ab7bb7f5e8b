"""The corpus that a data stage is asked for: found, downloaded, prepared or harvested."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from core.data.catalogue import EMBEDDED, find_named
from core.data.corpus import Corpus, build_corpus, find_corpus
from core.data.own.prepare import Preparation, find_prepared, prepare_corpus, prepared_files
from core.data.publish import DataLock
from core.data.remote.corpus import Wanted, downloads_dir, fetch_shards, publish_corpus
from core.data.remote.known import REMOTE_CORPORA, access
from core.data.shards import MANIFEST
from core.data.sources import Source
from core.settings.text import DataConfig
from runs.events import Progress

POLL_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """A corpus, and whether it was there before."""

    corpus: Corpus
    is_reused: bool


class Waiting(AbstractContextManager["Waiting"]):
    """The lock of a directory, waited for with a word about whom."""

    def __init__(self, directory: Path, label: str) -> None:
        self._lock = DataLock(directory)
        self._label = label

    def acquire(self, stop: Callable[[], bool]) -> Generator[Progress, None, bool]:
        """Take the lock once it is free; False when told to stop meanwhile."""
        while not self._lock.try_acquire():
            if stop():
                return False
            yield Progress(done=0, total=1, unit="builds", label=self._label)
            time.sleep(POLL_S)
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.__exit__(kind, error, trace)


def provide_corpus(
    data_dir: Path,
    config: DataConfig,
    embedded: Sequence[Source],
    *,
    num_processes: int,
    stop: Callable[[], bool],
) -> Generator[Progress, None, Provided | None]:
    """Return the corpus that the settings name; None when told to stop.

    Raises:
        NotFound, UsageError, Corrupt, StageFailed: it cannot be had, and what to do.
    """
    if config.corpus in REMOTE_CORPORA:
        return (yield from _download(data_dir, config, stop))
    if config.corpus != EMBEDDED:
        path = Path(config.corpus).expanduser()
        if path.is_dir() and not (path / MANIFEST).is_file():
            return (yield from _prepare(data_dir, path, config, stop))
        return Provided(corpus=find_named(data_dir, config.corpus), is_reused=True)
    with Waiting(data_dir, "waiting for another data stage") as lock:
        if not (yield from lock.acquire(stop)):
            return None
        found = find_corpus(data_dir, embedded)
        if found is not None:
            return Provided(corpus=found, is_reused=True)
        built = yield from build_corpus(data_dir, embedded, num_processes=num_processes, stop=stop)
    return None if built is None else Provided(corpus=built, is_reused=False)


def _download(
    data_dir: Path, config: DataConfig, stop: Callable[[], bool]
) -> Generator[Progress, None, Provided | None]:
    remote = REMOTE_CORPORA[config.corpus]
    wanted = Wanted(corpus=remote, num_train=config.num_shards, num_ahead=config.shards_ahead)
    with Waiting(downloads_dir(data_dir, remote), "waiting for another download") as lock:
        if not (yield from lock.acquire(stop)):
            return None
        index = yield from fetch_shards(data_dir, wanted, access(os.environ), stop=stop)
    if index is None:
        return None
    with Waiting(data_dir, "waiting for another data stage") as lock:
        if not (yield from lock.acquire(stop)):
            return None
        return Provided(corpus=publish_corpus(data_dir, wanted, index), is_reused=False)


def _prepare(
    data_dir: Path, path: Path, config: DataConfig, stop: Callable[[], bool]
) -> Generator[Progress, None, Provided | None]:
    files = prepared_files([path])
    # The seed of a run does not change its text: runs must share their validation documents.
    how = Preparation(name=path.resolve().name)
    found = find_prepared(data_dir, files, how)
    if found is not None:
        return Provided(corpus=found, is_reused=True)
    with Waiting(data_dir, "waiting for another data stage") as lock:
        if not (yield from lock.acquire(stop)):
            return None
        built = yield from prepare_corpus(data_dir, files, how, stop=stop)
    return None if built is None else Provided(corpus=built, is_reused=False)

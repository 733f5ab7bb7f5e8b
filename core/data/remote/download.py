"""Many files at a time: the first error ends them all, and what has arrived is kept."""

from __future__ import annotations

import errno
import shutil
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import httpx

from core.data.remote.backoff import Policy
from core.data.remote.fetch import PARTIAL, Fetch
from core.data.remote.index import Index, RemoteFile
from core.data.remote.known import Access
from core.data.remote.requests import StoppedError
from runs.errors import StageFailed
from runs.events import Progress

NUM_WORKERS = 4
POLL_S = 0.25
# Left free on the disk for whatever else is written meanwhile.
SPARE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to fetch, from where, to where; `on_file` is called for each verified file."""

    index: Index
    files: Sequence[RemoteFile]
    directory: Path
    access: Access
    client: httpx.Client
    policy: Policy
    num_workers: int = NUM_WORKERS
    on_file: Callable[[RemoteFile], None] = lambda file: None


class _Counter:
    """Bytes that are there, counted by all workers."""

    def __init__(self, start: int) -> None:
        self._lock = threading.Lock()
        self.value = start

    def add(self, num_bytes: int) -> None:
        with self._lock:
            self.value += num_bytes


def download(
    order: Order, *, stop: Callable[[], bool], label: str = "downloading"
) -> Generator[Progress, None, bool]:
    """Fetch the files that are missing, in their order; False when told to stop.

    Raises:
        StageFailed, Corrupt: the first file that could not be had, and why.
    """
    order.directory.mkdir(parents=True, exist_ok=True)
    missing = [file for file in order.files if not is_here(order.directory, file)]
    for file in order.files:
        if file not in missing:
            order.on_file(file)
    if not missing:
        return True
    total = sum(file.bytes for file in order.files)
    counter = _Counter(total - sum(_remaining(order.directory, file) for file in missing))
    _require_room(order.directory, total - counter.value)
    cancel = threading.Event()
    with ThreadPoolExecutor(order.num_workers, thread_name_prefix="download") as pool:
        futures = [pool.submit(_one, order, file, cancel, counter) for file in missing]
        try:
            yield from _follow(futures, counter, total, stop=stop, label=label)
        finally:
            cancel.set()
            for future in futures:
                future.cancel()
    return _outcome(futures)


def is_here(directory: Path, file: RemoteFile) -> bool:
    """Return whether a file has been downloaded; it was verified before it got its name."""
    try:
        return (directory / file.name).stat().st_size == file.bytes
    except FileNotFoundError:
        return False


def _one(
    order: Order,
    file: RemoteFile,
    cancel: threading.Event,
    counter: _Counter,
) -> None:
    if cancel.is_set():
        raise StoppedError
    try:
        Fetch(
            file=file,
            url=order.index.url(order.access, file),
            directory=order.directory,
            client=order.client,
            policy=order.policy,
            stop=cancel,
            on_bytes=counter.add,
        ).run()
        order.on_file(file)
    except OSError as error:
        what = "the disk is full" if error.errno == errno.ENOSPC else str(error)
        raise StageFailed(f"shard {file.name} could not be written: {what}") from None


def _follow(
    futures: Sequence[Future[None]],
    counter: _Counter,
    total: int,
    *,
    stop: Callable[[], bool],
    label: str,
) -> Generator[Progress, None, None]:
    """Tell how far the downloads are until they are done, one failed, or it is time to stop."""
    said_s = 0.0
    while True:
        # One stopped for lack of this check would hold the caller for a whole shard.
        done, waiting = wait(futures, timeout=POLL_S, return_when=FIRST_EXCEPTION)
        if time.monotonic() - said_s >= POLL_S or not waiting:
            said_s = time.monotonic()
            num = f"{label}: {len(done)} of {len(futures)} shards"
            yield Progress(done=counter.value, total=total, unit="bytes", label=num)
        if not waiting or stop() or any(future.exception() for future in done):
            return


def _outcome(futures: Sequence[Future[None]]) -> bool:
    """Return whether all files are here, or raise the error that ended them."""
    ended = [future for future in futures if not future.cancelled()]
    errors = [error for future in ended if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, StoppedError):
            raise error
    return len(ended) == len(futures) and not errors


def _remaining(directory: Path, file: RemoteFile) -> int:
    try:
        arrived = (directory / (file.name + PARTIAL)).stat().st_size
    except FileNotFoundError:
        arrived = 0
    return max(0, file.bytes - arrived)


def _require_room(directory: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(directory).free
    if num_bytes + SPARE_BYTES > free:
        raise StageFailed(
            f"the shards need {num_bytes / 1e9:.1f} GB more and {directory} has "
            f"{free / 1e9:.1f} GB free; ask for fewer with --num-shards, or use another --home"
        )

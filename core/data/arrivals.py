"""The process beside training that brings text: shards downloaded, tokenised, and dropped again.

The contract between processes is the token cache: a shard's files appear when its tokens are
complete. Whoever needs them looks; the first rank tells the process which it needs next.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from core.data.catalogue import corpus_name
from core.data.parts import Part
from core.data.processes import start_child, usable_cores
from core.data.publish import DataLock
from core.data.remote.backoff import Policy
from core.data.remote.corpus import downloads_dir, place
from core.data.remote.download import Order, download, is_here
from core.data.remote.index import RemoteFile, find_index
from core.data.remote.known import access, remote_corpus
from core.data.remote.requests import open_client
from core.data.shards import LaterShard, load_manifest
from core.data.token_cache import TokenCache
from core.tokenizer import Tokenizer
from runs.errors import LabError, NotFound, StageFailed

POLL_S = 0.5
_END_S = 5.0
# Of the cores, while training has what it needs.
_QUIET_SHARE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Shards in the order they are needed; the first `num_urgent` are waited for."""

    names: tuple[str, ...]
    num_urgent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What the process is to do.

    names: the training shards, in their order.
    is_kept: make the tokens of all of them; else have those that are wanted in the window.
    """

    corpus_dir: Path
    tokenizer_path: Path
    data_dir: Path
    window: Path
    names: tuple[str, ...]
    is_kept: bool


class Arrivals:
    """The process that brings shards; it ends with the one that started it."""

    def __init__(self, errand: Errand) -> None:
        context = multiprocessing.get_context("spawn")
        self._told, theirs = context.Pipe(duplex=True)
        self._asked: Want | None = None
        self._process = context.Process(target=_run, args=(errand, theirs), name="shards")
        self._process.start()
        theirs.close()

    def want(self, names: Sequence[str], *, num_urgent: int) -> None:
        """Ask for shards in their order; the first `num_urgent` of them are waited for."""
        want = Want(names=tuple(names), num_urgent=num_urgent)
        if want == self._asked:
            return
        self._asked = want
        try:
            self._told.send(want)
        except OSError:
            # The process has ended: `check` says whether it had to.
            return

    def check(self) -> None:
        """Raise StageFailed when the shards cannot be brought, with the reason."""
        if self._process.is_alive() and not self._told.poll():
            return
        try:
            reason = self._told.recv()
        except (EOFError, OSError):
            reason = ""
        if reason is None:
            return
        self._process.join(_END_S)
        code = self._process.exitcode
        raise StageFailed(reason or f"the process that brings shards ended with code {code}")

    def close(self) -> None:
        """End the process; what it has downloaded in part is resumed another time."""
        self._process.terminate()
        self._process.join(_END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


@contextmanager
def bringing(
    cache: TokenCache, parts: Sequence[Part], errand: Errand, *, is_first_rank: bool
) -> Iterator[Arrivals | None]:
    """Bring what is not here while the block runs; one rank does it for all."""
    is_complete = errand.is_kept and all(cache.find(name) for part in parts for name in part)
    if not is_first_rank or is_complete:
        yield None
        return
    arrivals = Arrivals(errand)
    try:
        yield arrivals
    finally:
        arrivals.close()
        shutil.rmtree(errand.window, ignore_errors=True)


def _run(errand: Errand, told: Connection) -> None:
    """Be that process: tell None when all is there, else why not."""
    start_child()
    try:
        Bringer(errand, told).run()
        told.send(None)
    except LabError as error:
        told.send(str(error))


class Bringer:
    """Brings shards: a thread downloads those that arrive later, this one makes tokens.

    told: where wants come from; without it, all shards are brought in their order.
    """

    def __init__(
        self, errand: Errand, told: Connection | None = None, policy: Policy | None = None
    ) -> None:
        self._errand = errand
        self._told = told
        self._policy = policy or Policy()
        self._cache = TokenCache(
            corpus_dir=errand.corpus_dir,
            tokenizer=Tokenizer.from_file(errand.tokenizer_path),
            window=errand.window,
        )
        self._want = Want(names=(), num_urgent=0)
        self._failed: LabError | None = None

    def run(self) -> None:
        """Bring shards: until all are there, or as long as wants may come for a window.

        Raises:
            StageFailed, Corrupt, NotFound: a shard cannot be had, and why.
        """
        later = load_manifest(self._errand.corpus_dir).later
        thread = threading.Thread(target=self._download, args=(later,), daemon=True)
        thread.start()
        while True:
            self._listen(0)
            if not self._errand.is_kept:
                self._drop()
            missing = [name for name in self._wanted() if self._cache.find(name) is None]
            name = next((name for name in missing if self._is_here(name)), None)
            if name is not None:
                self._encode(name)
            elif self._failed is not None:
                raise self._failed
            elif self._errand.is_kept and not missing:
                return
            else:
                self._listen(POLL_S)

    def _wanted(self) -> Sequence[str]:
        if not self._errand.is_kept:
            return self._want.names
        return tuple(dict.fromkeys([*self._want.names, *self._errand.names]))

    def _listen(self, timeout_s: float) -> None:
        if self._told is None:
            time.sleep(timeout_s)
            return
        while self._told.poll(timeout_s):
            self._want = self._told.recv()
            timeout_s = 0

    def _encode(self, name: str) -> None:
        is_urgent = name in self._want.names[: self._want.num_urgent]
        share = 1 if is_urgent else _QUIET_SHARE
        self._cache.encode(
            name,
            num_threads=max(1, usable_cores() // share),
            is_kept=self._errand.is_kept,
        )

    def _drop(self) -> None:
        """Remove from the window what is not wanted any more."""
        for path in self._errand.window.glob("*.tokens"):
            if path.name.removesuffix(".tokens") not in self._want.names:
                path.unlink(missing_ok=True)

    def _is_here(self, name: str) -> bool:
        return (self._errand.corpus_dir / name).exists()

    def _download(self, later: Sequence[LaterShard]) -> None:
        try:
            fetch_later(self._errand.corpus_dir, later, self._errand.data_dir, self._policy)
        except LabError as error:
            self._failed = error
        except OSError as error:
            self._failed = StageFailed(f"the text that is still to come cannot be kept: {error}")


def fetch_later(
    corpus_dir: Path, later: Sequence[LaterShard], data_dir: Path, policy: Policy
) -> None:
    """Give the later shards of a corpus their place in it; another process may download them.

    Raises:
        StageFailed, Corrupt, NotFound: a shard cannot be had, and why.
    """
    if all((corpus_dir / shard.name).exists() for shard in later):
        return
    name = corpus_name(load_manifest(corpus_dir))
    directory = downloads_dir(data_dir, remote_corpus(name))
    while True:
        for shard in later:
            if is_here(directory, _file(shard)):
                _place(corpus_dir, directory, shard.name)
        if all((corpus_dir / shard.name).exists() for shard in later):
            return
        with DataLock(directory) as lock:
            if lock.try_acquire():
                _download(corpus_dir, directory, later, policy)
                continue
        time.sleep(POLL_S)


def _file(shard: LaterShard) -> RemoteFile:
    return RemoteFile(name=shard.name, bytes=shard.bytes, sha256=shard.sha256)


def _download(
    corpus_dir: Path, directory: Path, later: Sequence[LaterShard], policy: Policy
) -> None:
    index = find_index(directory)
    if index is None:
        raise NotFound(f"{directory} has lost its index; run: labcli data get again")
    server = access(os.environ)
    with open_client(server, policy) as client:
        order = Order(
            index=index,
            files=index.pick([shard.name for shard in later]),
            directory=directory,
            access=server,
            client=client,
            policy=policy,
            on_file=lambda file: _place(corpus_dir, directory, file.name),
        )
        for _ in download(order, stop=lambda: False):
            pass


def _place(corpus_dir: Path, directory: Path, name: str) -> None:
    """Give a verified shard its place in the corpus, unless it has it."""
    target = corpus_dir / name
    if not target.exists():
        place(directory / name, target)

"""Shards that arrive while models train: downloaded and tokenised by a process beside them.

The contract between processes is one file per shard: SHARD.offsets.npy in the token cache, which
appears when the shard has been verified and its tokens are complete. Whoever needs it looks.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from core.data.catalogue import corpus_name
from core.data.publish import DataLock
from core.data.remote.backoff import Policy
from core.data.remote.corpus import downloads_dir, link
from core.data.remote.download import Order, download, is_here
from core.data.remote.index import RemoteFile, find_index
from core.data.remote.known import access, remote_corpus
from core.data.remote.requests import open_client
from core.data.shards import LaterShard, load_manifest, read_shard
from core.data.tokens import TokenSplit, open_tokens
from core.tokenizer import Tokenizer
from runs.errors import LabError, NotFound, StageFailed

POLL_S = 0.5
_END_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterTokens:
    """The later shards of a corpus, as one tokenizer sees them."""

    corpus_dir: Path
    tokenizer: Tokenizer
    shards: tuple[LaterShard, ...]

    @property
    def directory(self) -> Path:
        """Where the tokens of later shards lie."""
        # Beside the cache of the first shards, which is built aside and renamed as a whole.
        return self.corpus_dir / f"later-{self.tokenizer.hash[:16]}"

    def offsets_path(self, shard: LaterShard) -> Path:
        """The file that appears last, when the tokens of a shard are complete."""
        return self.directory / f"{shard.name}.offsets.npy"

    def tokens_path(self, shard: LaterShard) -> Path:
        """The tokens of a shard."""
        return self.directory / f"{shard.name}.tokens"

    def is_ready(self, shard: LaterShard) -> bool:
        """Return whether a shard can be trained on."""
        return self.offsets_path(shard).is_file()

    def open(self, shard: LaterShard) -> TokenSplit:
        """Return a shard that is ready, memory-mapped."""
        return open_tokens(
            self.tokens_path(shard), self.offsets_path(shard), self.tokenizer.id_dtype
        )


def later_tokens(corpus_dir: Path, tokenizer: Tokenizer) -> LaterTokens:
    """Return the later shards of a corpus; most corpora have none."""
    shards = load_manifest(corpus_dir).later
    return LaterTokens(corpus_dir=corpus_dir, tokenizer=tokenizer, shards=shards)


class Arrivals:
    """The process that brings later shards; it ends with the one that started it."""

    def __init__(self, later: LaterTokens, tokenizer_path: Path, data_dir: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._told, sender = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_bring,
            args=(later.corpus_dir, tokenizer_path, data_dir, sender),
            name="shards",
        )
        self._process.start()
        sender.close()

    def check(self) -> None:
        """Raise StageFailed when the shards cannot be brought, with the reason."""
        if self._process.is_alive() and not self._told.poll():
            return
        try:
            reason = self._told.recv()
        except EOFError:
            reason = ""
        if reason is None:
            return
        code = self._process.exitcode
        raise StageFailed(reason or f"the process that downloads shards ended with code {code}")

    def close(self) -> None:
        """End the process; what it has downloaded in part is resumed another time."""
        self._process.terminate()
        self._process.join(_END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


@contextmanager
def bringing(
    later: LaterTokens, tokenizer_path: Path, data_dir: Path, *, is_first_rank: bool
) -> Iterator[Arrivals | None]:
    """Bring what is not ready yet while the block runs; one rank does it for all."""
    if not is_first_rank or all(map(later.is_ready, later.shards)):
        yield None
        return
    arrivals = Arrivals(later, tokenizer_path, data_dir)
    try:
        yield arrivals
    finally:
        arrivals.close()


def _bring(corpus_dir: Path, tokenizer_path: Path, data_dir: Path, told: Connection) -> None:
    """Be that process: tell None when all is ready, else why not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()
    try:
        later = later_tokens(corpus_dir, Tokenizer.from_file(tokenizer_path))
        bring_shards(later, data_dir)
        told.send(None)
    except LabError as error:
        told.send(str(error))


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def bring_shards(later: LaterTokens, data_dir: Path, policy: Policy | None = None) -> None:
    """Download and tokenise the later shards, in their order; another process may download.

    Raises:
        StageFailed, Corrupt: a shard cannot be had, and why.
    """
    name = corpus_name(load_manifest(later.corpus_dir))
    directory = downloads_dir(data_dir, remote_corpus(name))
    while True:
        for shard in later.shards:
            if _is_downloaded(directory, shard):
                _tokenise(later, directory, shard)
        if all(map(later.is_ready, later.shards)):
            return
        with DataLock(directory) as lock:
            if lock.try_acquire():
                _download(later, directory, policy or Policy())
                continue
        time.sleep(POLL_S)


def _is_downloaded(directory: Path, shard: LaterShard) -> bool:
    return is_here(directory, RemoteFile(name=shard.name, bytes=shard.bytes, sha256=shard.sha256))


def _download(later: LaterTokens, directory: Path, policy: Policy) -> None:
    index = find_index(directory)
    if index is None:
        raise NotFound(f"{directory} has lost its index; run: labcli data get again")
    shards = {shard.name: shard for shard in later.shards}
    server = access(os.environ)
    with open_client(server, policy) as client:
        order = Order(
            index=index,
            files=index.pick(list(shards)),
            directory=directory,
            access=server,
            client=client,
            policy=policy,
            on_file=lambda file: _tokenise(later, directory, shards[file.name]),
        )
        for _ in download(order, stop=lambda: False):
            pass


def _tokenise(later: LaterTokens, directory: Path, shard: LaterShard) -> None:
    """Give a verified shard its place in the corpus, and write its tokens."""
    later.directory.mkdir(exist_ok=True, parents=True)
    with open(later.directory / f".{shard.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if later.is_ready(shard):
            return
        target = later.corpus_dir / shard.name
        if not target.exists():
            link(directory / shard.name, target)
        # Training has the other cores.
        num_threads = max(1, (os.cpu_count() or 1) // 4)
        tokens_path = later.tokens_path(shard)
        offsets = [np.zeros(1, dtype=np.int64)]
        num_tokens = 0
        with open(tokens_path, "wb") as stream:
            for texts in read_shard(target):
                ids, starts = later.tokenizer.bulk.encode_arrow(
                    texts, prefix=later.tokenizer.bos, num_threads=num_threads
                )
                ids.astype(later.tokenizer.id_dtype, copy=False).tofile(stream)
                offsets.append(starts[1:] + num_tokens)
                num_tokens += len(ids)
            stream.flush()
            os.fsync(stream.fileno())
        aside = later.directory / f".{shard.name}.partial.npy"
        np.save(aside, np.concatenate(offsets))
        aside.replace(later.offsets_path(shard))

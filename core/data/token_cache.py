"""The tokens of a corpus on disk, shard by shard: built once, shared by ranks and by runs.

One folder per tokenizer lies in the corpus directory. SHARD.tokens holds the ids of a shard, and
SHARD.lengths.npy, which is written last, the tokens of each of its documents: a kill loses the
shards at work and no other. Where the disk is too small for all tokens, they lie in a window of
few shards that belongs to one run, and the lengths alone stay: rows are planned from them.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.data.processes import usable_cores
from core.data.shards import Manifest, Split, load_manifest, read_shard, require_intact
from core.data.tokens import Ints, TokenArray, TokenSplit
from core.files import sync_path
from core.tokenizer import Tokenizer
from runs.errors import Corrupt, StageFailed
from runs.events import Progress

POLL_S = 0.25


class EncodingStoppedError(Exception):
    """Whoever asked for tokens does not want them any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCache:
    """The tokens of a corpus as one tokenizer makes them.

    window: where a run keeps the tokens of few shards for itself; the shared ones are preferred.
    """

    corpus_dir: Path
    tokenizer: Tokenizer
    window: Path | None = None

    @property
    def directory(self) -> Path:
        """Where tokens lie that all runs share."""
        return self.corpus_dir / f"tokens-{self.tokenizer.hash[:16]}"

    def lengths(self, name: str) -> Ints | None:
        """Return the tokens per document of a shard, or None while they are not known."""
        try:
            return np.load(self._lengths_path(name), allow_pickle=False).astype(np.int64)
        except (OSError, ValueError):
            # What a full disk or a crash has cut off is made again.
            return None

    def find(self, name: str) -> Path | None:
        """Return where the tokens of a shard lie, or None while they are not complete."""
        return self._find(name, self.lengths(name))

    def open(self, names: Sequence[str]) -> TokenSplit | None:
        """Return shards end to end, memory-mapped; None while one is not complete."""
        arrays: list[TokenArray] = []
        lengths = [np.zeros(0, dtype=np.int64)]
        for name in names:
            known = self.lengths(name)
            path = self._find(name, known)
            if known is None or path is None:
                return None
            try:
                arrays.append(_mapped(path, self.tokenizer.id_dtype))
            except FileNotFoundError:
                return None
            lengths.append(known)
        counts = [len(part) for part in lengths[:-1]]
        return TokenSplit(
            arrays=tuple(arrays),
            offsets=np.concatenate(([0], np.cumsum(np.concatenate(lengths)))),
            first_docs=tuple(int(count) for count in np.cumsum(counts))[: len(arrays)] or (0,),
            names=tuple(names),
        )

    def encode(
        self,
        name: str,
        *,
        num_threads: int,
        is_kept: bool = True,
        on_documents: Callable[[int], None] = lambda num: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Make the tokens of a shard whose text is here, unless they are there by now.

        is_kept: make them for all runs; else for the window.

        Raises:
            EncodingStoppedError: `stop` said so.
            StageFailed: the disk is full. Corrupt: the shard cannot be read.
        """
        target = self.directory if is_kept or self.window is None else self.window
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with _locked(target / f".{name}.lock"):
                if self.find(name) is None:
                    self._write(name, target, num_threads, on_documents, stop)
        except ValueError as error:
            raise Corrupt(f"shard {self.corpus_dir / name} cannot be tokenised: {error}") from None
        except OSError as error:
            raise _not_written(f"the tokens of {name}", target, error) from error

    def _write(
        self,
        name: str,
        target: Path,
        num_threads: int,
        on_documents: Callable[[int], None],
        stop: Callable[[], bool],
    ) -> None:
        # Tokens outlive the text that they were made of: what is wrong in it would stay.
        require_intact(self.corpus_dir, name)
        aside = target / f".{name}.tokens.partial"
        lengths = [np.zeros(0, dtype=np.uint32)]
        try:
            with open(aside, "wb") as stream:
                for texts in read_shard(self.corpus_dir / name):
                    if stop():
                        raise EncodingStoppedError
                    ids, starts = self.tokenizer.bulk.encode_arrow(
                        texts, prefix=self.tokenizer.bos, num_threads=num_threads
                    )
                    ids.astype(self.tokenizer.id_dtype, copy=False).tofile(stream)
                    lengths.append(np.diff(starts).astype(np.uint32))
                    on_documents(len(texts))
                stream.flush()
                os.fsync(stream.fileno())
            aside.replace(target / f"{name}.tokens")
        finally:
            aside.unlink(missing_ok=True)
        lengths_aside = target / f".{name}.lengths.partial"
        with open(lengths_aside, "wb") as stream:
            np.save(stream, np.concatenate(lengths))
        sync_path(lengths_aside)
        lengths_aside.replace(self._lengths_path(name))

    def _lengths_path(self, name: str) -> Path:
        return self.directory / f"{name}.lengths.npy"

    def _find(self, name: str, lengths: Ints | None) -> Path | None:
        if lengths is None:
            return None
        num_bytes = int(lengths.sum()) * np.dtype(self.tokenizer.id_dtype).itemsize
        for directory in (self.directory, self.window):
            path = None if directory is None else directory / f"{name}.tokens"
            try:
                if path is not None and path.stat().st_size == num_bytes:
                    return path
            except FileNotFoundError:
                continue
        return None


def shard_names(manifest: Manifest, split: Split) -> tuple[str, ...]:
    """Return the shards of a split that came with the corpus, in their order."""
    return tuple(shard.name for shard in manifest.shards if shard.split == split)


def open_shards(cache: TokenCache, names: Sequence[str]) -> TokenSplit:
    """Return shards that have been built; Corrupt when one is not what it was."""
    split = cache.open(names)
    if split is None:
        raise Corrupt(f"token cache {cache.directory} is damaged; run again to repair it")
    return split


def open_validation(cache: TokenCache) -> TokenSplit:
    """Return the validation text, which has been built."""
    return open_shards(cache, shard_names(load_manifest(cache.corpus_dir), "val"))


def build_validation(cache: TokenCache) -> Iterator[Progress]:
    """Build the tokens of the validation text; the disk always has room for these."""
    return build_tokens(cache, shard_names(load_manifest(cache.corpus_dir), "val"))


def build_tokens(
    cache: TokenCache, names: Sequence[str], *, is_kept: bool = True
) -> Iterator[Progress]:
    """Build the tokens of shards that are here, on all cores, telling how far it is.

    Under a lock: ranks and runs that come at once build them a single time.
    """
    if not _missing(cache, names):
        return
    with _locked(cache.corpus_dir / ".tokens.lock"):
        missing = _missing(cache, names)
        if not missing:
            return
        num_docs = {s.name: s.num_docs for s in load_manifest(cache.corpus_dir).shards}
        building = _Building(cache, missing, is_kept=is_kept)
        total = sum(num_docs.get(name, 0) for name in names)
        done = total - sum(num_docs.get(name, 0) for name in missing)
        for count in building.run():
            yield Progress(done=done + count, total=total, unit="documents", label="tokenising")


class _Building:
    """Shards that are encoded side by side: reading a shard is not parallel, encoding is."""

    def __init__(self, cache: TokenCache, names: Sequence[str], *, is_kept: bool) -> None:
        self._cache = cache
        self._names = names
        self._is_kept = is_kept
        self._lock = threading.Lock()
        self._num_docs = 0
        self._cancel = threading.Event()

    def run(self) -> Iterator[int]:
        """Yield the documents that are done, every now and then; raise what a shard raised."""
        num_cores = usable_cores()
        num_workers = min(len(self._names), num_cores)
        with ThreadPoolExecutor(num_workers, thread_name_prefix="encode") as pool:
            num_threads = max(1, num_cores // num_workers)
            futures = [pool.submit(self._encode, name, num_threads) for name in self._names]
            try:
                yield from self._follow(futures)
            finally:
                self._cancel.set()
                for future in futures:
                    future.cancel()
        for future in futures:
            error = None if future.cancelled() else future.exception()
            # One that failed has stopped the others.
            if error is not None and not isinstance(error, EncodingStoppedError):
                raise error

    def _follow(self, futures: Sequence[Future[None]]) -> Iterator[int]:
        while True:
            done, waiting = wait(futures, timeout=POLL_S, return_when=FIRST_EXCEPTION)
            yield self._num_docs
            if not waiting or any(future.exception() for future in done):
                return

    def _encode(self, name: str, num_threads: int) -> None:
        self._cache.encode(
            name,
            num_threads=num_threads,
            is_kept=self._is_kept,
            on_documents=self._count,
            stop=self._cancel.is_set,
        )

    def _count(self, num_docs: int) -> None:
        with self._lock:
            self._num_docs += num_docs


def _not_written(what: str, directory: Path, error: OSError) -> StageFailed:
    return StageFailed(
        f"{what} could not be written to {directory} ({error.strerror or error}); free some disk "
        "space (labcli runs gc), or start a run with base.token_cache=none, which keeps no tokens"
    )


def _missing(cache: TokenCache, names: Sequence[str]) -> list[str]:
    return [name for name in names if cache.find(name) is None]


def _mapped(path: Path, id_dtype: npt.DTypeLike) -> TokenArray:
    # An empty file cannot be mapped.
    if not path.stat().st_size:
        return np.zeros(0, dtype=id_dtype)
    return np.memmap(path, dtype=id_dtype, mode="r")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file in a directory of tokens, which is made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _not_written("tokens", path.parent, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)

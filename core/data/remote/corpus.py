"""A corpus of this lab made of downloaded shards: links to them, and a manifest.

Downloads lie in data/downloads/NAME and are shared; a corpus is a choice of them, named by the
hash of its shards, which is known before they are here.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from core.data.corpus import Corpus
from core.data.publish import building_directory, publish
from core.data.remote.backoff import Policy
from core.data.remote.download import NUM_WORKERS, POLL_S, Order, download
from core.data.remote.index import Index, RemoteFile, find_index, load_index
from core.data.remote.known import Access, RemoteCorpus
from core.data.remote.requests import open_client
from core.data.shards import (
    LaterShard,
    Manifest,
    ShardInfo,
    SourceCount,
    corpus_id,
    file_sha256,
    load_manifest,
    measure_shard,
    write_manifest,
)
from core.files import replace_file
from runs.errors import Corrupt, NotFound
from runs.events import Progress

DOWNLOADS = "downloads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which shards of a remote corpus to have.

    num_ahead: so many training shards must be here before the corpus is published, the others
        may arrive later; absent: all.
    """

    corpus: RemoteCorpus
    num_train: int
    first: int = 0
    num_ahead: int | None = None

    @property
    def ahead_names(self) -> tuple[str, ...]:
        """Training shards that are waited for."""
        return self.corpus.train_names(self.first, self._split)

    @property
    def later_names(self) -> tuple[str, ...]:
        """Training shards that may arrive later."""
        return self.corpus.train_names(self.first + self._split, self.num_train - self._split)

    @property
    def _split(self) -> int:
        return self.num_train if self.num_ahead is None else min(self.num_ahead, self.num_train)


def downloads_dir(data_dir: Path, corpus: RemoteCorpus) -> Path:
    """Return where the shards of a remote corpus are downloaded to."""
    return data_dir / DOWNLOADS / corpus.name


def fetch_shards(
    data_dir: Path,
    wanted: Wanted,
    access: Access,
    *,
    stop: Callable[[], bool],
    policy: Policy | None = None,
    num_workers: int = NUM_WORKERS,
) -> Generator[Progress, None, Index | None]:
    """Download what must be here, the validation shard first; return None when told to stop.

    The caller holds the lock of the download directory.

    Raises:
        StageFailed, Corrupt: a shard cannot be had, and why.
    """
    policy = policy or Policy()
    directory = downloads_dir(data_dir, wanted.corpus)
    directory.mkdir(parents=True, exist_ok=True)
    with open_client(access, policy) as client:
        index = yield from _listing(wanted.corpus, directory, access, client, policy, stop)
        if index is None:
            return None
        index.pick(wanted.later_names)
        steps = ((wanted.corpus.val_name,), "validation"), (wanted.ahead_names, "train")
        for names, label in steps:
            order = Order(
                index=index,
                files=index.pick(names),
                directory=directory,
                access=access,
                client=client,
                policy=policy,
                num_workers=num_workers,
                on_file=lambda file: _measure(directory, file),
            )
            if not (yield from download(order, stop=stop, label=f"{wanted.corpus.name} {label}")):
                return None
    return index


def _listing(
    corpus: RemoteCorpus,
    directory: Path,
    access: Access,
    client: httpx.Client,
    policy: Policy,
    stop: Callable[[], bool],
) -> Generator[Progress, None, Index | None]:
    """Return what the repository holds; None when told to stop while the server is asked."""
    cancel = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="listing") as pool:
        asked = pool.submit(
            load_index, corpus, directory, access, client=client, policy=policy, stop=cancel
        )
        try:
            while not wait([asked], timeout=POLL_S).done:
                label = f"asking for the list of shards of {corpus.name}"
                yield Progress(done=0, total=1, unit="lists", label=label)
                if stop():
                    return None
        finally:
            cancel.set()
    return asked.result()


def publish_corpus(data_dir: Path, wanted: Wanted, index: Index) -> Corpus:
    """Return the corpus of downloaded shards, made unless it is there; links cost no space."""
    directory = downloads_dir(data_dir, wanted.corpus)
    ahead = [shard_info(directory, file) for file in index.pick(wanted.ahead_names)]
    (val_file,) = index.pick([wanted.corpus.val_name])
    val = shard_info(directory, val_file, is_val=True)
    later = tuple(
        LaterShard(name=file.name, sha256=file.sha256, bytes=file.bytes)
        for file in index.pick(wanted.later_names)
    )
    shards = (*ahead, val)
    hashes = [*(shard.sha256 for shard in ahead), *(shard.sha256 for shard in later), val.sha256]
    name = corpus_id(hashes)
    if later:
        # The text that tokenizers are trained on depends on how many shards come first.
        name = corpus_id([name, str(len(ahead))])
    manifest = Manifest(
        corpus_id=name,
        sources={wanted.corpus.name: f"{index.repo}@{index.revision[:12]}"},
        counts={wanted.corpus.name: _count(shards)},
        shards=shards,
        val_sha256=val.sha256,
        later=later,
    )
    final = data_dir / name
    if not _is_there(final, manifest):
        with building_directory(data_dir) as building:
            for shard in shards:
                link(directory / shard.name, building / shard.name)
            write_manifest(building, manifest)
            publish(building, final)
    for name in (*wanted.ahead_names, *wanted.later_names, wanted.corpus.val_name):
        _renew(final / name, directory / name)
    return Corpus(path=final, manifest=manifest)


def _renew(shard: Path, downloaded: Path) -> None:
    """Take a shard that was downloaded again since it got its place: the one there was damaged."""
    if not shard.exists() or not downloaded.exists() or shard.samefile(downloaded):
        return
    # Where files have no second names the copy is younger than what it was made of.
    if shard.stat().st_mtime_ns < downloaded.stat().st_mtime_ns:
        place(downloaded, shard)


def place(downloaded: Path, target: Path) -> None:
    """Give a verified shard its place in a corpus: whole, or not at all."""
    aside = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.partial")
    try:
        link(downloaded, aside)
        aside.replace(target)
    finally:
        # Half a copy would take from a full disk what is left of it.
        aside.unlink(missing_ok=True)


def shard_info(directory: Path, file: RemoteFile, *, is_val: bool = False) -> ShardInfo:
    """Return what a downloaded shard holds, as it was counted when it arrived."""
    kept = _kept_counts(directory, file)
    if kept is None:
        _measure(directory, file)
        kept = _kept_counts(directory, file)
        assert kept is not None
    return ShardInfo(
        name=file.name,
        sha256=file.sha256,
        bytes=file.bytes,
        num_docs=kept["num_docs"],
        num_chars=kept["num_chars"],
        split="val" if is_val else "train",
    )


def discard_damaged(directory: Path) -> list[str]:
    """Remove the downloaded shards that differ from their hash, and return their names."""
    index = find_index(directory)
    damaged = []
    for file in () if index is None else index.files:
        path = directory / file.name
        if path.is_file() and file_sha256(path) != file.sha256:
            path.unlink()
            damaged.append(file.name)
    return damaged


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _measure(directory: Path, file: RemoteFile) -> None:
    """Read a shard as what it should be, and keep its counts beside it.

    Raises:
        Corrupt: it is not parquet with a text column, although its hash is right.
    """
    if _kept_counts(directory, file) is None:
        found = measure_shard(directory / file.name, "train")
        counts = {"sha256": file.sha256, **asdict(_count([found]))}
        replace_file(_counts_path(directory, file), json.dumps(counts).encode())


def _kept_counts(directory: Path, file: RemoteFile) -> Mapping[str, int] | None:
    try:
        kept = json.loads(_counts_path(directory, file).read_text(encoding="utf-8"))
        return kept if kept["sha256"] == file.sha256 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _counts_path(directory: Path, file: RemoteFile) -> Path:
    return directory / f"{file.name}.json"


def _count(shards: Sequence[ShardInfo]) -> SourceCount:
    return SourceCount(
        num_docs=sum(shard.num_docs for shard in shards),
        num_chars=sum(shard.num_chars for shard in shards),
    )


def _is_there(path: Path, manifest: Manifest) -> bool:
    try:
        return load_manifest(path) == manifest
    except (NotFound, Corrupt):
        return False

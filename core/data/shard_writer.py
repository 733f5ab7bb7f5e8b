"""Writes documents into shards one by one, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.data.shards import (
    ROW_GROUP,
    SHARD_CHARS,
    Manifest,
    ShardInfo,
    SourceCount,
    Split,
    corpus_id,
    file_sha256,
    write_manifest,
)

# A group of that many characters is written even when it is of few documents: memory is bounded,
# and Arrow's strings end at two gigabytes.
HELD_CHARS = 1 << 27
_SCHEMA = pa.schema([("text", pa.string())])


class ShardWriter:
    """Writes documents one by one into the shards of an empty directory, in bounded memory.

    A training shard closes on a whole row group once it holds `shard_chars` characters; the
    validation documents share one shard, the last.
    """

    def __init__(self, directory: Path, *, shard_chars: int = SHARD_CHARS) -> None:
        self._directory = directory
        self._shard_chars = shard_chars
        self._closed: list[ShardInfo] = []
        self._train: _OpenShard | None = None
        self._val = _OpenShard(directory / ".val.parquet", "val")

    def add(self, text: str, split: Split) -> None:
        """Put one document at the end of a split."""
        if split == "val":
            self._val.add(text)
            return
        if self._train is None:
            self._train = _OpenShard(self._path(), "train")
        self._train.add(text)
        is_full = self._train.num_chars >= self._shard_chars
        if is_full and self._train.num_docs % ROW_GROUP == 0:
            self._close_train()

    def finish(
        self, *, sources: Mapping[str, str], counts: Mapping[str, SourceCount] | None = None
    ) -> Manifest:
        """Close the shards, write their manifest and return it.

        counts: what each source gave; without it there is one source, which gave all.
        """
        self._close_train()
        last = self._val.close(self._path())
        shards = (*self._closed, last)
        if counts is None:
            (name,) = sources
            whole = SourceCount(
                num_docs=sum(shard.num_docs for shard in shards),
                num_chars=sum(shard.num_chars for shard in shards),
            )
            counts = {name: whole}
        manifest = Manifest(
            corpus_id=corpus_id([shard.sha256 for shard in shards]),
            sources=dict(sources),
            counts=dict(counts),
            shards=shards,
            val_sha256=last.sha256,
        )
        write_manifest(self._directory, manifest)
        return manifest

    def _close_train(self) -> None:
        if self._train is not None:
            self._closed.append(self._train.close(self._path()))
            self._train = None

    def _path(self) -> Path:
        return self._directory / f"shard_{len(self._closed):05d}.parquet"


def write_shards(
    directory: Path,
    *,
    train: Iterable[str],
    val: Iterable[str],
    sources: Mapping[str, str],
    counts: Mapping[str, SourceCount],
    shard_chars: int = SHARD_CHARS,
) -> Manifest:
    """Write the texts and their manifest into an empty directory; return the manifest."""
    writer = ShardWriter(directory, shard_chars=shard_chars)
    for text in train:
        writer.add(text, "train")
    for text in val:
        writer.add(text, "val")
    return writer.finish(sources=sources, counts=counts)


class _OpenShard:
    """One parquet file that grows by row groups."""

    def __init__(self, path: Path, split: Split) -> None:
        self._path = path
        self._split = split
        self._held: list[str] = []
        self._num_held_chars = 0
        self.num_docs = 0
        self.num_chars = 0
        self._writer = pq.ParquetWriter(
            path,
            _SCHEMA,
            compression="zstd",
            compression_level=3,
            use_dictionary=False,
            write_statistics=False,
        )

    def add(self, text: str) -> None:
        self._held.append(text)
        self.num_docs += 1
        self.num_chars += len(text)
        self._num_held_chars += len(text)
        if len(self._held) == ROW_GROUP or self._num_held_chars >= HELD_CHARS:
            self._flush()

    def close(self, path: Path) -> ShardInfo:
        """Complete the file under its final name."""
        if self._held or not self.num_docs:
            self._flush()
        self._writer.close()
        self._path.replace(path)
        return ShardInfo(
            name=path.name,
            sha256=file_sha256(path),
            bytes=path.stat().st_size,
            num_docs=self.num_docs,
            num_chars=self.num_chars,
            split=self._split,
        )

    def _flush(self) -> None:
        table = pa.table({"text": pa.array(self._held, type=pa.string())}, schema=_SCHEMA)
        self._writer.write_table(table, row_group_size=ROW_GROUP)
        self._held, self._num_held_chars = [], 0

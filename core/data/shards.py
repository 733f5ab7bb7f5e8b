"""Text shards: parquet files with one `text` column, and the manifest that vouches for them.

The last shard is the validation text, pinned by its hash. Torch-free.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from runs.errors import Corrupt, NotFound

Split = Literal["train", "val"]
MANIFEST = "manifest.json"
VERSION = 1
ROW_GROUP = 1024
SHARD_CHARS = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardInfo:
    """One parquet file; `num_chars` counts the characters of its texts."""

    name: str
    sha256: str
    bytes: int
    num_docs: int
    num_chars: int
    split: Split


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCount:
    """What one source gave to the corpus."""

    num_docs: int
    num_chars: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a corpus directory holds and where it came from (package name -> version)."""

    corpus_id: str
    sources: Mapping[str, str]
    counts: Mapping[str, SourceCount]
    shards: tuple[ShardInfo, ...]
    val_sha256: str

    @property
    def num_docs(self) -> int:
        """Documents in all shards."""
        return sum(shard.num_docs for shard in self.shards)

    @property
    def num_chars(self) -> int:
        """Characters in all shards."""
        return sum(shard.num_chars for shard in self.shards)

    @property
    def num_bytes(self) -> int:
        """Bytes of all shards on disk."""
        return sum(shard.bytes for shard in self.shards)


def write_shards(
    directory: Path,
    *,
    train: Sequence[str],
    val: Sequence[str],
    sources: Mapping[str, str],
    counts: Mapping[str, SourceCount],
    shard_chars: int = SHARD_CHARS,
) -> Manifest:
    """Write the texts and their manifest into an empty directory; return the manifest."""
    shards: list[ShardInfo] = []
    for texts in _cut(train, shard_chars):
        shards.append(_write(directory, len(shards), texts, "train"))
    shards.append(_write(directory, len(shards), val, "val"))
    digest = hashlib.sha256("".join(shard.sha256 for shard in shards).encode())
    manifest = Manifest(
        corpus_id=digest.hexdigest()[:16],
        sources=dict(sources),
        counts=dict(counts),
        shards=tuple(shards),
        val_sha256=shards[-1].sha256,
    )
    body = json.dumps({"v": VERSION, **asdict(manifest)}, indent=1, sort_keys=True)
    (directory / MANIFEST).write_text(body + "\n", encoding="utf-8")
    return manifest


def load_manifest(directory: Path, *, verify: bool = False) -> Manifest:
    """Return the manifest of a corpus; with `verify`, every shard is hashed first.

    Raises:
        NotFound: the directory has no manifest.
        Corrupt: the manifest is malformed, or a shard is missing or differs from it.
    """
    path = directory / MANIFEST
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound(f"{directory} is not a corpus; run the data stage first") from None
    except ValueError:
        raise Corrupt(f"{path} is not JSON; run the data stage again") from None
    manifest = _parse(body, path)
    for shard in manifest.shards:
        _check(directory / shard.name, shard, is_hashed=verify)
    return manifest


def read_texts(directory: Path, split: str) -> Iterator[str]:
    """Yield the documents of a split, in the order of the shards."""
    for texts in read_arrays(directory, split):
        yield from texts.to_pylist()


def read_arrays(directory: Path, split: str) -> Iterator[pa.StringArray]:
    """Yield the documents of a split as Arrow arrays of some thousand, in the same order."""
    for shard in load_manifest(directory).shards:
        if shard.split != split:
            continue
        with pq.ParquetFile(directory / shard.name) as file:
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group, columns=["text"])["text"].chunks


def file_sha256(path: Path) -> str:
    """Return the hash of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _cut(texts: Sequence[str], shard_chars: int) -> Iterator[list[str]]:
    """Yield runs of whole row groups, each closed once it holds `shard_chars`."""
    held: list[str] = []
    num_chars = 0
    for text in texts:
        held.append(text)
        num_chars += len(text)
        if num_chars >= shard_chars and len(held) % ROW_GROUP == 0:
            yield held
            held, num_chars = [], 0
    if held:
        yield held


def _write(directory: Path, index: int, texts: Sequence[str], split: Split) -> ShardInfo:
    path = directory / f"shard_{index:05d}.parquet"
    table = pa.table({"text": pa.array(texts, type=pa.string())})
    pq.write_table(
        table,
        path,
        row_group_size=ROW_GROUP,
        compression="zstd",
        compression_level=3,
        use_dictionary=False,
        write_statistics=False,
    )
    return ShardInfo(
        name=path.name,
        sha256=file_sha256(path),
        bytes=path.stat().st_size,
        num_docs=len(texts),
        num_chars=sum(map(len, texts)),
        split=split,
    )


def _parse(body: Any, path: Path) -> Manifest:
    try:
        if body["v"] != VERSION:
            raise ValueError
        manifest = Manifest(
            corpus_id=body["corpus_id"],
            sources=body["sources"],
            counts={name: SourceCount(**count) for name, count in body["counts"].items()},
            shards=tuple(ShardInfo(**shard) for shard in body["shards"]),
            val_sha256=body["val_sha256"],
        )
        last = manifest.shards[-1]
        if last.split != "val" or last.sha256 != manifest.val_sha256:
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise Corrupt(f"{path} is not a manifest of version {VERSION}") from None
    return manifest


def _check(path: Path, shard: ShardInfo, *, is_hashed: bool) -> None:
    again = "; run the data stage again"
    if Path(shard.name).name != shard.name or not path.is_file():
        raise Corrupt(f"shard {path} is missing{again}")
    if path.stat().st_size != shard.bytes:
        raise Corrupt(f"shard {path} has {path.stat().st_size} bytes, not {shard.bytes}{again}")
    if is_hashed and file_sha256(path) != shard.sha256:
        raise Corrupt(f"shard {path} differs from its hash in the manifest{again}")

"""Text shards: parquet files with one `text` column, and the manifest that vouches for them.

The last shard is the validation text, pinned by its hash. Torch-free.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.data.columns import is_text, plain
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
class LaterShard:
    """A training shard that arrives while models train; its hash is known before it is here."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a corpus directory holds and where it came from (package name -> version).

    `shards` were there when the directory appeared; pretraining goes on to the `later` ones.
    """

    corpus_id: str
    sources: Mapping[str, str]
    counts: Mapping[str, SourceCount]
    shards: tuple[ShardInfo, ...]
    val_sha256: str
    later: tuple[LaterShard, ...] = ()

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


def corpus_id(sha256s: Iterable[str]) -> str:
    """Return the name of a corpus: a hash of the hashes of its shards in their order."""
    return hashlib.sha256("".join(sha256s).encode()).hexdigest()[:16]


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write the manifest of a corpus into its directory."""
    values = asdict(manifest)
    if not manifest.later:
        del values["later"]
    body = json.dumps({"v": VERSION, **values}, indent=1, sort_keys=True)
    (directory / MANIFEST).write_text(body + "\n", encoding="utf-8")


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


def require_intact(directory: Path, name: str) -> None:
    """Raise Corrupt when a shard of a corpus differs from the hash that its manifest states."""
    manifest = load_manifest(directory)
    known = {shard.name: shard.sha256 for shard in manifest.shards}
    known |= {shard.name: shard.sha256 for shard in manifest.later}
    if file_sha256(directory / name) != known[name]:
        raise Corrupt(
            f"shard {directory / name} differs from its hash in the manifest; make it again "
            "(labcli data get --verify, labcli data prepare, or the data stage)"
        )


def read_texts(directory: Path, split: str) -> Iterator[str]:
    """Yield the documents of a split, in the order of the shards."""
    for texts in read_arrays(directory, split):
        yield from texts.to_pylist()


def read_arrays(directory: Path, split: str) -> Iterator[pa.StringArray]:
    """Yield the documents of a split as Arrow arrays of some thousand, in the same order."""
    for shard in load_manifest(directory).shards:
        if shard.split == split:
            yield from read_shard(directory / shard.name)


def read_shard(path: Path) -> Iterator[pa.StringArray]:
    """Yield the documents of one shard as Arrow arrays of some thousand.

    Raises:
        Corrupt: the file cannot be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                chunks = file.read_row_group(group, columns=["text"])["text"].chunks
                yield from map(plain, chunks)
    # A page that cannot be unpacked is an OSError of pyarrow's.
    except (pa.ArrowException, OSError, KeyError) as error:
        raise Corrupt(f"shard {path} cannot be read: {error}") from None


def file_sha256(path: Path) -> str:
    """Return the hash of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def measure_shard(path: Path, split: Split) -> ShardInfo:
    """Return what one parquet file holds.

    Raises:
        Corrupt: it is not a parquet file with a column `text` of texts.
    """
    num_docs = num_chars = 0
    for texts in read_shard(path):
        if not is_text(texts.type):
            raise Corrupt(f"the column text of {path} holds {texts.type}, not text")
        try:
            texts.validate(full=True)
        except pa.ArrowInvalid as error:
            raise Corrupt(f"shard {path} holds text that is not UTF-8: {error}") from None
        num_docs += len(texts)
        num_chars += pc.sum(pc.utf8_length(texts)).as_py() or 0
    return ShardInfo(
        name=path.name,
        sha256=file_sha256(path),
        bytes=path.stat().st_size,
        num_docs=num_docs,
        num_chars=num_chars,
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
            later=tuple(LaterShard(**shard) for shard in body.get("later", ())),
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

"""Where training text comes from: files, directories, corpora, memory. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.data.shards import MANIFEST, load_manifest
from runs.errors import NotFound, UsageError

Kind = Literal["parquet", "jsonl", "text"]
_KINDS: dict[str, Kind] = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".txt": "text",
    ".md": "text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A file of documents; a file of kind "text" is one document."""

    path: Path
    kind: Kind

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.path)

    @property
    def num_bytes(self) -> int:
        """The size of the file."""
        return self.path.stat().st_size


@dataclass(frozen=True, slots=True, kw_only=True)
class TextInMemory:
    """One document that is at hand, such as what stdin gave."""

    name: str
    data: bytes

    @property
    def num_bytes(self) -> int:
        """The size of the document."""
        return len(self.data)


Source = TextFile | TextInMemory


def find_sources(names: Sequence[str], *, corpora: Path | None = None) -> list[Source]:
    """Return the files that the names stand for, in the order of the names.

    Args:
        names: files, directories (searched for files of known kinds, in the order of their
            paths), directories of corpora (their training text), or ids of corpora.
        corpora: the directory of corpora that ids are looked up in.

    Raises:
        NotFound: there is no such file.
        UsageError: a directory holds no text.
    """
    return [source for name in names for source in _expand(name, corpora)]


def _expand(name: str, corpora: Path | None) -> Iterator[Source]:
    path = Path(name).expanduser()
    if not path.exists() and corpora is not None and (corpora / name / MANIFEST).is_file():
        path = corpora / name
    if path.is_dir():
        yield from _corpus(path) if (path / MANIFEST).is_file() else _directory(path)
    elif path.is_file():
        yield TextFile(path=path, kind=_KINDS.get(path.suffix.lower(), "text"))
    else:
        raise NotFound(f"no text at {name}; name a file, a directory or a corpus")


def _corpus(path: Path) -> Iterator[Source]:
    for shard in load_manifest(path).shards:
        if shard.split == "train":
            yield TextFile(path=path / shard.name, kind="parquet")


def _directory(path: Path) -> Iterator[Source]:
    files = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in _KINDS and file.is_file() and not file.name.startswith(".")
    )
    if not files:
        raise UsageError(f"{path} holds no text; files may be {', '.join(_KINDS)}")
    for file in files:
        yield TextFile(path=file, kind=_KINDS[file.suffix.lower()])

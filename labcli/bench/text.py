"""The text that is measured: a working copy in one layout, whatever it comes from.

Every tool reads the same parquet file, batch by batch, so reading costs all of them the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs.errors import Corrupt, NotFound, UsageError

COLUMN = "text"
TEXT_SUFFIXES = (".txt", ".md")
BATCH_DOCS = 1024
BATCH_BYTES = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchText:
    """The working copy; `num_bytes` counts UTF-8, `text_file` is its plain form if one is made."""

    path: Path
    num_docs: int
    num_bytes: int
    sha256: str
    is_all: bool
    text_file: Path | None = None


def copy_text(source: Path, directory: Path, *, limit: int, with_text_file: bool) -> BenchText:
    """Write the first `limit` bytes of a directory's documents, in whole documents.

    Raises:
        NotFound: there is no such directory, or it holds no text.
        Corrupt: a file cannot be read.
        UsageError: a parquet file has no column of text.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = find_files(source)
    schema = pa.schema([(COLUMN, pa.string())])
    path = directory / "text.parquet"
    text_file = directory / "text.txt" if with_text_file else None
    taken = _Taken(limit)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(taken.documents(_read(files))):
            table = pa.table({COLUMN: pa.array(batch, pa.string())})
            writer.write_table(table, row_group_size=len(batch))
            if text_file is not None:
                with open(text_file, "a", encoding="utf-8") as stream:
                    stream.writelines(f"{text}\n" for text in batch)
    if not taken.num_docs:
        raise NotFound(f"{source} holds no text; name a directory with .parquet, .txt or .md files")
    return BenchText(
        path=path,
        num_docs=taken.num_docs,
        num_bytes=taken.num_bytes,
        sha256=taken.digest.hexdigest(),
        is_all=taken.is_all,
        text_file=text_file,
    )


def find_files(source: Path) -> list[Path]:
    """Return the parquet files below a directory, or its text files when it has none."""
    if not source.is_dir():
        raise NotFound(f"{source} is not a directory; name one with .parquet, .txt or .md files")
    files = sorted(path for path in source.rglob("*") if path.is_file())
    parquet = [path for path in files if path.suffix == ".parquet"]
    return parquet or [path for path in files if path.suffix in TEXT_SUFFIXES]


def _read(files: Iterable[Path]) -> Iterator[str]:
    for path in files:
        if path.suffix == ".parquet":
            yield from _read_parquet(path)
        else:
            yield path.read_bytes().decode("utf-8", errors="replace")


def arrow_batches(path: Path | str) -> Iterator[Any]:
    """Yield the working copy as Arrow arrays of text, a row group at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, columns=[COLUMN])[COLUMN].chunks


def documents(path: Path | str) -> Iterator[str]:
    """Yield the documents of the working copy."""
    for array in arrow_batches(path):
        yield from array.to_pylist()


def _read_parquet(path: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            kind = schema.field(COLUMN).type if COLUMN in schema.names else None
            if kind is None or not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
                raise UsageError(f"{path} has no column {COLUMN!r} of strings; it has {columns}")
            for group in range(file.num_row_groups):
                column = file.read_row_group(group, columns=[COLUMN])[COLUMN]
                yield from (text for text in column.to_pylist() if text)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise Corrupt(f"{path} cannot be read: {error}") from None


class _Taken:
    """The documents that fit under a limit, counted and hashed as they pass."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.num_docs = 0
        self.num_bytes = 0
        self.digest = hashlib.sha256()
        self.is_all = True

    def documents(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield documents until the next would pass the limit; one is always taken."""
        for text in texts:
            content = text.encode("utf-8")
            if self.num_docs and self.num_bytes + len(content) > self._limit:
                self.is_all = False
                return
            self.num_docs += 1
            self.num_bytes += len(content)
            self.digest.update(content + b"\n")
            yield text


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    num_bytes = 0
    for text in texts:
        batch.append(text)
        num_bytes += len(text.encode("utf-8"))
        if len(batch) == BATCH_DOCS or num_bytes >= BATCH_BYTES:
            yield batch
            batch, num_bytes = [], 0
    if batch:
        yield batch

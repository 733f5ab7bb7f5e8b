"""Documents of a person's own files: parquet, or JSON lines that may be compressed. Torch-free."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from core.data.columns import is_text, plain, strings
from runs.errors import Corrupt, NotFound, UsageError

Kind = Literal["parquet", "jsonl"]
_KINDS: dict[str, Kind] = {".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_CODECS = {".zst": "zstd", ".zstd": "zstd", ".gz": "gzip"}
_BATCH_ROWS = 1024
_BUFFER_BYTES = 1 << 20
# How much larger text is than the files that people keep it in; only memory is planned by it.
_EXPANSION = {"parquet": 3.0, "plain": 1.0, "compressed": 5.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFile:
    """One file of documents; `codec` is that of its compression, if it has one."""

    path: Path
    kind: Kind
    codec: str | None

    @property
    def num_bytes(self) -> int:
        """The size of the file."""
        return self.path.stat().st_size

    @property
    def estimated_text_bytes(self) -> float:
        """About how much text the file holds."""
        form = "parquet" if self.kind == "parquet" else "compressed" if self.codec else "plain"
        return self.num_bytes * _EXPANSION[form]


def find_files(names: Sequence[Path]) -> list[DocumentFile]:
    """Return the files that paths stand for; directories are searched, in the order of names.

    Raises:
        NotFound: there is nothing at a path, or no file of a known kind in a directory.
        UsageError: a file is of no known kind.
    """
    found: list[DocumentFile] = []
    for path in names:
        if path.is_dir():
            inside = [file for item in sorted(path.rglob("*")) if (file := _known(item))]
            if not inside:
                raise NotFound(f"{path} holds no parquet or JSONL file (.zst and .gz are read too)")
            found += inside
        elif not path.exists():
            raise NotFound(f"there is nothing at {path}; name a file or a directory")
        elif (file := _known(path)) is None:
            raise UsageError(f"{path} is neither parquet nor JSONL (.zst and .gz are read too)")
        else:
            found.append(file)
    return found


def _known(path: Path) -> DocumentFile | None:
    codec = _CODECS.get(path.suffix.lower())
    suffix = Path(path.stem).suffix if codec else path.suffix
    kind = _KINDS.get(suffix.lower())
    if kind is None or path.name.startswith(".") or not path.is_file():
        return None
    # The parquet format compresses its own pages.
    return None if kind == "parquet" and codec else DocumentFile(path=path, kind=kind, codec=codec)


def read_documents(file: DocumentFile, column: str) -> Iterator[str]:
    """Yield the texts of a file; an absent or empty one is left out.

    Raises:
        UsageError: there is no such column, or it holds no text.
        Corrupt: the file is not what its name says.
    """
    try:
        yield from _parquet(file, column) if file.kind == "parquet" else _lines(file, column)
    except (pa.ArrowException, OSError) as error:
        raise Corrupt(f"{file.path} cannot be read as its name says: {error}") from None


def _parquet(file: DocumentFile, column: str) -> Iterator[str]:
    with pq.ParquetFile(file.path) as table:
        schema = table.schema_arrow
        if column not in schema.names:
            raise UsageError(
                f"{file.path} has no column {column!r}; choose one with labcli data "
                "prepare --column: " + ", ".join(schema.names)
            )
        for batch in table.iter_batches(_BATCH_ROWS, columns=[column]):
            texts = plain(batch.column(0))
            if not is_text(texts.type):
                raise UsageError(f"column {column!r} of {file.path} holds {texts.type}, not text")
            yield from filter(None, strings(texts))


def _lines(file: DocumentFile, column: str) -> Iterator[str]:
    with _open(file) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            where = f"{file.path}, line {number}"
            try:
                body = json.loads(line.decode("utf-8-sig", "replace"))
            except (ValueError, RecursionError):
                raise Corrupt(f"{where} is not JSON; repair or remove that line") from None
            if not isinstance(body, dict) or column not in body:
                keys = ", ".join(body) if isinstance(body, dict) else type(body).__name__
                raise UsageError(
                    f"{where} has no {column!r}; choose one with labcli data prepare --column: "
                    + keys
                )
            text = body[column]
            if text is not None and not isinstance(text, str):
                raise UsageError(f"{where}: {column!r} is no text")
            if text:
                # Half a pair of UTF-16 is no character, and no UTF-8 file can hold it.
                yield text.encode("utf-8", "replace").decode()


def _open(file: DocumentFile) -> IO[bytes]:
    raw = pa.input_stream(str(file.path), compression=file.codec)
    return io.BufferedReader(raw, _BUFFER_BYTES)

"""Texts fed to a word counter, whatever they lie in: parquet, JSON, plain text. Torch-free."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from core._bpe import WordCounter
from core.data.columns import plain, strings
from core.vocab.sources import Source, TextInMemory
from runs.errors import Corrupt, UsageError

Errors = Literal["replace", "refuse"]
# Rows of parquet and lines of JSON in a batch: a few MB of web text.
BATCH_ROWS = 1024
# Compression is measured on the first characters of the text: enough for three digits.
SAMPLE_CHARS = 1_000_000


class Reader:
    """Feeds sources to a counter, and keeps the start of the text."""

    def __init__(self, counter: WordCounter, *, errors: Errors, column: str) -> None:
        self.is_enough = False
        self._counter = counter
        self._errors = errors
        self._column = column
        self._sample: list[str] = []
        self._room = SAMPLE_CHARS
        self._num_replaced = 0

    @property
    def sample(self) -> str:
        """The first characters of all that was read."""
        return "".join(self._sample)

    @property
    def num_replaced(self) -> int:
        """How often U+FFFD stands for bytes that are not UTF-8."""
        return self._counter.num_replaced + self._num_replaced

    def read(self, source: Source) -> Iterator[float]:
        """Yield the share of a source that has been read, batch after batch.

        Raises:
            UsageError: bytes are not UTF-8 and `errors` refuses them, or there is no such column.
            Corrupt: the file is not what its name says.
        """
        try:
            yield from self._batches(source)
        except pa.ArrowException as error:
            raise Corrupt(f"{source.name} cannot be read as parquet: {error}") from None
        except ValueError as error:
            raise UsageError(f"{source.name}: {error}") from None

    def _batches(self, source: Source) -> Iterator[float]:
        if isinstance(source, TextInMemory):
            self._feed_document(source.data)
            yield 1.0
        elif source.kind == "parquet":
            yield from self._parquet(source.path)
        elif source.kind == "jsonl":
            yield from self._lines(source.path, source.num_bytes)
        elif source.num_bytes:
            with (
                open(source.path, "rb") as stream,
                mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
            ):
                self._feed_document(data)
            yield 1.0

    def _feed_document(self, data: bytes | mmap.mmap) -> None:
        # No character takes more than four bytes.
        start = data[: 4 * self._room]
        self._note(start.decode("utf-8", "replace"))
        self.is_enough = not self._counter.feed_bytes(data, errors=self._errors)

    def _parquet(self, path: Path) -> Iterator[float]:
        with pq.ParquetFile(path) as file:
            self._check_column(file.schema_arrow)
            num_rows = 0
            for batch in file.iter_batches(BATCH_ROWS, columns=[self._column]):
                texts = plain(batch.column(0))
                if self._room:
                    self._note("".join(filter(None, strings(texts))))
                self.is_enough = not self._counter.feed_arrow(texts, errors=self._errors)
                num_rows += len(texts)
                yield num_rows / file.metadata.num_rows

    def _check_column(self, schema: Any) -> None:
        if self._column not in schema.names:
            raise ValueError(
                f"it has no column {self._column!r}; --column names one of "
                + ", ".join(schema.names)
            )

    def _lines(self, path: Path, num_bytes: int) -> Iterator[float]:
        num_read = 0
        batch: list[str] = []
        with open(path, "rb") as stream:
            for number, line in enumerate(stream, start=1):
                num_read += len(line)
                if line.strip():
                    batch.append(self._line_text(line, number))
                if len(batch) == BATCH_ROWS:
                    self._feed_texts(batch)
                    batch = []
                    yield num_read / num_bytes
        if batch:
            self._feed_texts(batch)
        yield 1.0

    def _feed_texts(self, texts: list[str]) -> None:
        if self._room:
            self._note("".join(texts))
        self.is_enough = not self._counter.feed(texts)

    def _line_text(self, line: bytes, number: int) -> str:
        """Return the text of a JSON line; bytes that are not UTF-8 may become U+FFFD."""
        try:
            written = line.decode()
        except UnicodeDecodeError as error:
            if self._errors == "refuse":
                raise ValueError(
                    f"line {number} is not UTF-8 at byte {error.start}; "
                    "repair it, or let it be replaced"
                ) from None
            written = line.decode(errors="replace")
            self._num_replaced += written.count("\ufffd") - line.count("\ufffd".encode())
        try:
            body = json.loads(written)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number} is not JSON ({error})") from None
        text = body.get(self._column) if isinstance(body, dict) else None
        if not isinstance(text, str):
            raise ValueError(f"line {number} has no text under {self._column!r}; see --column")
        return text

    def _note(self, text: str) -> None:
        taken = text[: self._room]
        self._sample.append(taken)
        self._room -= len(taken)

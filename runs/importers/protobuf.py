"""The wire format of protocol buffers: fields by number, without a schema or a library.

https://protobuf.dev/programming-guides/encoding: a field is a key (number << 3 | type) and a
varint, 8 or 4 fixed bytes, or a length and as many bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

Value = int | bytes


class Malformed(ValueError):
    """Bytes that are no message."""


class Message:
    """The fields of one message, in their order on the wire."""

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[Value]] = {}
        for field, value in _fields(data):
            self._fields.setdefault(field, []).append(value)

    def __contains__(self, field: int) -> bool:
        return field in self._fields

    def messages(self, field: int) -> Iterator[Message]:
        """Yield every message in a field."""
        for value in self._fields.get(field, ()):
            if isinstance(value, bytes):
                yield Message(value)

    def message(self, field: int) -> Message:
        """Return the last message in a field; an empty one where there is none."""
        return Message(self.raw(field) or b"")

    def raw(self, field: int) -> bytes | None:
        """Return the last bytes in a field."""
        found = [value for value in self._fields.get(field, ()) if isinstance(value, bytes)]
        return found[-1] if found else None

    def texts(self, field: int) -> list[str]:
        """Return every text in a field."""
        values = self._fields.get(field, ())
        return [v.decode("utf-8", errors="replace") for v in values if isinstance(v, bytes)]

    def text(self, field: int) -> str:
        """Return the last text in a field, "" where there is none."""
        return (self.texts(field) or [""])[-1]

    def integer(self, field: int) -> int:
        """Return the last signed integer in a field, 0 where there is none."""
        found = [value for value in self._fields.get(field, ()) if isinstance(value, int)]
        value = found[-1] if found else 0
        return value - (1 << 64) if value >= 1 << 63 else value

    def double(self, field: int) -> float | None:
        """Return the last 8-byte number in a field."""
        raw = self.raw(field)
        return float(struct.unpack("<d", raw)[0]) if raw is not None and len(raw) == 8 else None

    def floats(self, field: int) -> list[float]:
        """Return every 4-byte number in a field, packed or not."""
        raw = b"".join(v for v in self._fields.get(field, ()) if isinstance(v, bytes))
        return [float(value) for (value,) in struct.iter_unpack("<f", raw[: len(raw) // 4 * 4])]


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            length, at = _varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise Malformed(f"unknown wire type {kind}")
        if at + length > len(data):
            raise Malformed("a field is longer than its message")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value & (1 << 64) - 1, at
        shift += 7
    raise Malformed("a number has no end")

"""What the trainers learned, in the one form in which it can be compared: merges of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from core.bpe import NUM_BYTES
from core.vocab.byte_alphabet import from_chars
from core.vocab.byte_merges import BytesPair
from core.vocab.recover import making_pairs


def from_tokens(tokens: Sequence[bytes]) -> list[BytesPair]:
    """Return the merges that made the tokens from number 256 on, given all in training order."""
    pairs = []
    for rank, pair in enumerate(making_pairs(tokens)[NUM_BYTES:], NUM_BYTES):
        if pair is None:
            raise ValueError(f"token {rank} is not made of two earlier ones")
        pairs.append((tokens[pair[0]], tokens[pair[1]]))
    return pairs


def from_written(merges: Iterable[Sequence[str]]) -> list[BytesPair]:
    """Return merges written in the printable alphabet of GPT-2 as merges of bytes."""
    return [(_bytes_of(left), _bytes_of(right)) for left, right in merges]


def save(path: Path, merges: Iterable[BytesPair]) -> None:
    """Write merges, one to a line, in hexadecimal."""
    with open(path, "w", encoding="ascii") as stream:
        stream.writelines(f"{left.hex()} {right.hex()}\n" for left, right in merges)


def load(path: Path) -> list[BytesPair]:
    """Return the merges that `save` wrote."""
    with open(path, encoding="ascii") as stream:
        rows = [line.split() for line in stream]
    return [(bytes.fromhex(left), bytes.fromhex(right)) for left, right in rows]


def tokens_of(merges: Iterable[BytesPair]) -> list[bytes]:
    """Return the tokens of a vocabulary in rank order: the bytes, then what each merge makes."""
    return [*(bytes([value]) for value in range(NUM_BYTES)), *(a + b for a, b in merges)]


def _bytes_of(written: str) -> bytes:
    token = from_chars(written)
    if token is None:
        raise ValueError(f"{written!r} is not written in the printable alphabet")
    return token

"""Merges as pairs of bytes, the one form in which the results of all trainers can be compared.

Ids would not do: tools number the bytes in different orders.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from core.bpe import NUM_BYTES, Pair

BytesPair = tuple[bytes, bytes]


def from_ids(merges: Iterable[Pair]) -> list[BytesPair]:
    """Return merges of ids, where id 256 + k is what merge k made, as merges of bytes."""
    tokens = [bytes([value]) for value in range(NUM_BYTES)]
    pairs = []
    for left, right in merges:
        pairs.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right])
    return pairs


def from_tokens(tokens: Sequence[bytes]) -> list[BytesPair]:
    """Return the merges that made the tokens from number 256 on, given all in training order.

    The halves of a token are what the earlier merges leave of its bytes (core/bpe.py says why).
    """
    ranks: dict[bytes, int] = {token: rank for rank, token in enumerate(tokens[:NUM_BYTES])}
    pairs = []
    for rank, token in enumerate(tokens[NUM_BYTES:], NUM_BYTES):
        halves = _merged(token, ranks)
        if len(halves) != 2:
            raise ValueError(f"token {rank} is not made of two earlier ones")
        pairs.append((halves[0], halves[1]))
        ranks[token] = rank
    return pairs


def from_written(merges: Iterable[Sequence[str]]) -> list[BytesPair]:
    """Return merges written in the printable alphabet of GPT-2 as merges of bytes."""
    bytes_of = {letter: value for value, letter in enumerate(byte_letters())}

    def decode(token: str) -> bytes:
        return bytes(bytes_of[letter] for letter in token)

    return [(decode(left), decode(right)) for left, right in merges]


def byte_letters() -> list[str]:
    """Return the printable letter that GPT-2's alphabet has for each byte."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = itertools.count(0x100)
    return [chr(value) if value in printable else chr(next(others)) for value in range(NUM_BYTES)]


def digest(merges: Iterable[BytesPair]) -> str:
    """Return the sha256 of merges in order: each half as its length (u32) and its bytes."""
    total = hashlib.sha256()
    for pair in merges:
        for half in pair:
            total.update(len(half).to_bytes(4, "little") + half)
    return total.hexdigest()


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


def _merged(word: bytes, ranks: Mapping[bytes, int]) -> list[bytes]:
    parts = [word[index : index + 1] for index in range(len(word))]
    while len(parts) > 2:
        joined = [left + right for left, right in itertools.pairwise(parts)]
        best = min(range(len(joined)), key=lambda at: ranks.get(joined[at], len(ranks)))
        if joined[best] not in ranks:
            break
        parts[best : best + 2] = [joined[best]]
    return parts

"""tiktoken's files: a line per token, its bytes in base64 and its rank. Torch-free."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable

from runs.errors import Corrupt

MAX_RANK = 2**31


def parse_ranks(content: bytes, name: str) -> dict[bytes, int]:
    """Return the rank of every token of a file.

    Raises:
        Corrupt: a line is not a token and its rank, or a token comes twice; the line is named.
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            token, rank = _parse_line(line)
        except ValueError as error:
            raise Corrupt(f"{name}, line {number}: {error}; get the file again") from None
        if token in ranks:
            raise Corrupt(f"{name}, line {number}: token {token!r} was there before")
        ranks[token] = rank
    if not ranks:
        raise Corrupt(f"{name} holds no tokens; get the file again")
    return ranks


def format_ranks(ranks: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the file that holds these tokens."""
    return b"".join(b"%s %d\n" % (b64encode(token), rank) for token, rank in ranks)


def _parse_line(line: bytes) -> tuple[bytes, int]:
    fields = line.split()
    # isdigit: int() would also take signs and underscores. No rank has ten digits.
    if len(fields) != 2 or not fields[1].isdigit() or len(fields[1]) > 10:
        raise ValueError("this is not a token in base64 and its rank")
    token, rank = b64decode(fields[0], validate=True), int(fields[1])
    if rank >= MAX_RANK:
        raise ValueError(f"rank {rank} is too large")
    return token, rank

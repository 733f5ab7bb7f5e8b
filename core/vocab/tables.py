"""Merges and tokens as plain lists: what makes them a vocabulary. Torch-free."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from collections.abc import Sequence

from core.bpe import NUM_BYTES, Pair

# A vocabulary trained on documents is far below this; a hostile file of doublings is not.
MAX_VOCABULARY_BYTES = 64 * 2**20


def parse_merges(raw: object) -> list[Pair]:
    """Return merges as a JSON file holds them; raise ValueError when they are something else."""
    if not isinstance(raw, list):
        raise ValueError("it has no list of merges")
    merges: list[Pair] = []
    for pair in raw:
        # type() and not isinstance: JSON's true would pass for 1.
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(x) is int for x in pair)):
            raise ValueError(f"merge {len(merges)} is not a pair of ids")
        merges.append((pair[0], pair[1]))
    return merges


def parse_tokens(raw: object) -> list[bytes]:
    """Return tokens as a JSON file holds them; raise ValueError when they are something else."""
    if not isinstance(raw, list) or not all(isinstance(token, str) for token in raw):
        raise ValueError("its tokens are not a list of base64 texts")
    return [b64decode(token, validate=True) for token in raw]


def expand_merges(merges: Sequence[Pair]) -> list[bytes]:
    """Return the bytes of every id; raise ValueError for impossible merges."""
    tokens = [bytes([value]) for value in range(NUM_BYTES)]
    seen = set(tokens)
    total = NUM_BYTES
    for index, (left, right) in enumerate(merges):
        if not (0 <= left < len(tokens) and 0 <= right < len(tokens)):
            raise ValueError(f"merge {index} uses an id that does not exist yet")
        total += len(tokens[left]) + len(tokens[right])
        if total > MAX_VOCABULARY_BYTES:
            raise ValueError(f"its tokens exceed {MAX_VOCABULARY_BYTES} bytes at merge {index}")
        token = tokens[left] + tokens[right]
        if token in seen:
            # Two ids for the same bytes: the encoder, which looks bytes up, would lose one of
            # them. Training cannot produce this; core/bpe.py says why.
            raise ValueError(f"merge {index} makes bytes that an earlier id already stands for")
        seen.add(token)
        tokens.append(token)
    return tokens


def check_tokens(tokens: Sequence[bytes]) -> None:
    """Raise ValueError unless these bytes, in rank order, can be a vocabulary."""
    total = sum(map(len, tokens))
    if total > MAX_VOCABULARY_BYTES:
        raise ValueError(f"they hold {total} bytes; the limit is {MAX_VOCABULARY_BYTES}")
    distinct = set(tokens)
    if len(distinct) < len(tokens):
        twice = next(token for token, count in Counter(tokens).items() if count > 1)
        raise ValueError(f"{twice!r} occurs twice")
    if b"" in distinct:
        raise ValueError(f"token {tokens.index(b'')} is empty")
    missing = [value for value in range(NUM_BYTES) if bytes([value]) not in distinct]
    if missing:
        raise ValueError(f"byte {missing[0]} has no token of its own ({len(missing)} have none)")

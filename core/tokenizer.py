"""The tokenizer that every stage shares: a byte-level BPE vocabulary in a JSON file. Torch-free.

A token's id is its rank. A trained vocabulary is a list of merges: ids 0..255 are the bytes and id
256 + k is what merge k makes. An imported one is a list of tokens in any order. The nine special
tokens always come last. Encoding is tiktoken's; it never reads a special token out of text, so a
user cannot inject one. The file holds data, not code: nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import tiktoken
from numpy.typing import NDArray

from core._bpe import Encoder
from core.files import replace_file
from core.vocab.tables import check_tokens, expand_merges, parse_merges, parse_tokens
from runs.errors import Corrupt, NotFound, UsageError

FORMAT_VERSION = 1
SPECIAL_TOKENS: tuple[str, ...] = (
    "<|bos|>",
    "<|user_start|>",
    "<|user_end|>",
    "<|assistant_start|>",
    "<|assistant_end|>",
    "<|python_start|>",
    "<|python_end|>",
    "<|output_start|>",
    "<|output_end|>",
)
# GPT-4's split with digits in groups of one or two: a small vocabulary has no room for three.
SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
MAX_UINT16_IDS = 1 << 16
# tiktoken's regex engine aborts on runs of about a million characters; ours says so, or is linear.
MAX_SPLIT_CHARS = 100_000


class Tokenizer:
    """A vocabulary; cheap to load, the encoder is built when it is first used."""

    num_specials = len(SPECIAL_TOKENS)

    def __init__(
        self,
        merges: Iterable[tuple[int, int]],
        *,
        pattern: str = SPLIT_PATTERN,
        trained_on: Mapping[str, Any] | None = None,
    ) -> None:
        """Build a tokenizer from merges in training order.

        Args:
            merges: pairs of ids, each made of the bytes or of earlier merges.
            pattern: the split pattern, in the syntax of tiktoken's regex engine.
            trained_on: facts about the training text, kept in the file.

        Raises:
            UsageError: the merges do not form a vocabulary.
        """
        self.merges: tuple[tuple[int, int], ...] | None = tuple(merges)
        try:
            tokens = expand_merges(self.merges)
        except ValueError as error:
            raise UsageError(f"these merges do not form a vocabulary: {error}") from None
        self._adopt(tokens, pattern, trained_on)

    @classmethod
    def from_tokens(
        cls,
        tokens: Sequence[bytes],
        *,
        pattern: str,
        trained_on: Mapping[str, Any] | None = None,
    ) -> Self:
        """Build a tokenizer from the bytes of every token that is not special, in rank order.

        `merges` is absent then: other tools rank the single bytes in orders of their own, and
        hold tokens that no merge can reach.

        Raises:
            UsageError: a byte is missing, a token is empty or occurs twice, or there is too much.
        """
        try:
            check_tokens(tokens)
        except ValueError as error:
            raise UsageError(f"these tokens do not form a vocabulary: {error}") from None
        tokenizer = cls.__new__(cls)
        tokenizer.merges = None
        tokenizer._adopt(list(tokens), pattern, trained_on)
        return tokenizer

    def _adopt(
        self, tokens: list[bytes], pattern: str, trained_on: Mapping[str, Any] | None
    ) -> None:
        self._bytes_by_id = tokens + [name.encode("ascii") for name in SPECIAL_TOKENS]
        self.pattern = pattern
        self.trained_on: Mapping[str, Any] = dict(trained_on or {})
        self._file_bytes: bytes | None = None

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Return the tokenizer in a tokenizer.json.

        Raises:
            NotFound: there is no such file.
            Corrupt: the file is not a tokenizer of this version.
        """
        try:
            content = path.read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            raise NotFound(f"no tokenizer at {path}; run the tok stage first") from None
        try:
            tokenizer = cls._from_json(json.loads(content))
        except (ValueError, RecursionError, UsageError) as error:
            raise Corrupt(f"{path} is not a usable tokenizer ({error}); train it again") from None
        tokenizer._file_bytes = content
        return tokenizer

    @classmethod
    def _from_json(cls, body: object) -> Self:
        if not isinstance(body, dict) or body.get("v") != FORMAT_VERSION:
            raise ValueError(f"not a tokenizer file of version {FORMAT_VERSION}")
        if body.get("special_tokens") != list(SPECIAL_TOKENS):
            raise ValueError("its special tokens are not the nine of this version")
        pattern, trained_on = body.get("pattern"), body.get("trained_on", {})
        if not isinstance(pattern, str) or not isinstance(trained_on, dict):
            raise ValueError("its pattern or trained_on has the wrong type")
        if "tokens" in body:
            tokens = parse_tokens(body["tokens"])
            return cls.from_tokens(tokens, pattern=pattern, trained_on=trained_on)
        return cls(parse_merges(body.get("merges")), pattern=pattern, trained_on=trained_on)

    def save(self, path: Path) -> str:
        """Write the file atomically and return its sha256."""
        replace_file(path, self._content)
        return self.hash

    @cached_property
    def hash(self) -> str:
        """The sha256 of the file, saved or not."""
        return hashlib.sha256(self._content).hexdigest()

    @property
    def _content(self) -> bytes:
        if self._file_bytes is None:
            body: dict[str, Any] = {
                "v": FORMAT_VERSION,
                "pattern": self.pattern,
                "special_tokens": list(SPECIAL_TOKENS),
                "trained_on": dict(sorted(self.trained_on.items())),
            }
            if self.merges is None:
                body["tokens"] = [b64encode(token).decode("ascii") for token in self.tokens]
            else:
                body["merges"] = self.merges
            text = json.dumps(body, separators=(",", ":"))
            self._file_bytes = text.encode("ascii") + b"\n"
        return self._file_bytes

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included."""
        return len(self._bytes_by_id)

    @property
    def tokens(self) -> Sequence[bytes]:
        """The bytes of every token that is not special, by id."""
        return self._bytes_by_id[: -self.num_specials]

    @property
    def id_dtype(self) -> type[np.uint16] | type[np.uint32]:
        """The narrowest type that holds every id."""
        return np.uint16 if self.vocab_size <= MAX_UINT16_IDS else np.uint32

    @property
    def bos(self) -> int:
        """The id that opens every document and conversation."""
        return self.special("<|bos|>")

    def special(self, name: str) -> int:
        """Return the id of a special token, named with or without its `<|` and `|>`."""
        full = name if name.startswith("<|") else f"<|{name}|>"
        if full not in SPECIAL_TOKENS:
            raise UsageError(f"no special token {name!r}; there are {', '.join(SPECIAL_TOKENS)}")
        return self.vocab_size - self.num_specials + SPECIAL_TOKENS.index(full)

    @cached_property
    def mergeable_ranks(self) -> Mapping[bytes, int]:
        """Every token that is not special, by its bytes."""
        return {token: index for index, token in enumerate(self.tokens)}

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes of one id; a special token's are its written name."""
        if not 0 <= token_id < self.vocab_size:
            raise UsageError(f"token id {token_id} is outside the vocabulary of {self.vocab_size}")
        return self._bytes_by_id[token_id]

    def token_bytes_lengths(self) -> NDArray[np.int32]:
        """Return the raw bytes that each id stands for, int32 [vocab_size]; 0 for specials."""
        return self._lengths.copy()

    @cached_property
    def _lengths(self) -> NDArray[np.int32]:
        lengths = np.array([len(token) for token in self._bytes_by_id], dtype=np.int32)
        lengths[-self.num_specials :] = 0
        return lengths

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; a special token's name in it is plain text.

        Raises:
            UsageError: the split pattern cannot get through so long a text.
        """
        if len(text) <= MAX_SPLIT_CHARS:
            return self._encoding.encode_ordinary(text)
        try:
            return self.bulk.encode(text).tolist()
        except ValueError as error:
            raise UsageError(str(error)) from None

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes that the ids stand for; special tokens as their written names."""
        return b"".join(map(self.token_bytes, ids))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    @cached_property
    def bulk(self) -> Encoder:
        """The encoder for much text: numpy arrays of ids, equal to those of `encode`."""
        return Encoder(self.tokens, self.pattern)

    @cached_property
    def _encoding(self) -> tiktoken.Encoding:
        try:
            return tiktoken.Encoding(
                f"labcli-{self.vocab_size}",
                pat_str=self.pattern,
                mergeable_ranks=dict(self.mergeable_ranks),
                special_tokens={},
            )
        except ValueError as error:
            raise Corrupt(f"the tokenizer's split pattern cannot be used: {error}") from None

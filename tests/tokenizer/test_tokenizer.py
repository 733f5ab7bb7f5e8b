"""Encoding, decoding and the file of a tokenizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiktoken
from hypothesis import given, settings

from core import _bpe, bpe
from core.tokenizer import MAX_SPLIT_CHARS, SPECIAL_TOKENS, SPLIT_PATTERN, Tokenizer
from runs.errors import Corrupt, NotFound, UsageError
from tests.tokenizer.builders import SENTENCES, trained, tricky_text

TOKENIZER = trained()


@settings(max_examples=200, deadline=None)
@given(text=tricky_text)
def test_decode_undoes_encode_for_any_text(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert all(index < TOKENIZER.vocab_size - 9 for index in ids)


@settings(max_examples=200, deadline=None)
@given(text=tricky_text)
def test_encoding_equals_the_definition_on_the_words_of_the_trainer(text: str) -> None:
    # Merges learned across word borders show every border that the two splitters disagree on.
    merges = _bpe.train_words({text.encode(): 1}, 2000)
    words = _bpe.split(text, SPLIT_PATTERN)
    expected = [index for word in words for index in bpe.encode_word(word.encode(), merges)]
    assert Tokenizer(merges).encode(text) == expected


@pytest.mark.parametrize("kind", [r"\p{L}", r"\p{N}", r"\s", r"(?i:[sdmt])"])
def test_characters_are_of_the_same_kind_for_trainer_and_encoder(kind: str) -> None:
    every = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF)
    ranks = {bytes([value]): value for value in range(256)}
    # What the pattern does not match is dropped, which leaves the characters of this kind.
    encoder = tiktoken.Encoding("kind", pat_str=kind, mergeable_ranks=ranks, special_tokens={})
    assert "".join(_bpe.split(every, kind)).encode() == bytes(encoder.encode_ordinary(every))


@settings(max_examples=30, deadline=None)
@given(text=tricky_text)
def test_a_long_text_has_the_ids_that_tiktoken_gives_it(text: str) -> None:
    lines = "x \n" + text + "\nend of line\n"
    long = lines * (3 * MAX_SPLIT_CHARS // len(lines))
    assert TOKENIZER.encode(long) == TOKENIZER._encoding.encode_ordinary(long)


@pytest.mark.parametrize("unit", [" ", "\t", "\u3000", "a", "0", "\n", "'s", "^"])
def test_a_million_equal_characters_round_trip(unit: str) -> None:
    text = unit * 1_000_000
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_special_tokens_are_the_last_nine_ids_and_are_never_read_from_text() -> None:
    first = TOKENIZER.vocab_size - 9
    assert [TOKENIZER.special(name) for name in SPECIAL_TOKENS] == list(range(first, first + 9))
    assert TOKENIZER.bos == first
    assert TOKENIZER.special("output_end") == TOKENIZER.vocab_size - 1
    text = "".join(SPECIAL_TOKENS)
    assert max(TOKENIZER.encode(text)) < first
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_special_tokens_decode_to_their_names_and_count_no_bytes() -> None:
    assert TOKENIZER.decode([TOKENIZER.bos, 104, 105]) == "<|bos|>hi"
    lengths = TOKENIZER.token_bytes_lengths()
    assert lengths.shape == (TOKENIZER.vocab_size,)
    assert lengths[-9:].sum() == 0
    assert lengths[0x80] == 1
    ids = TOKENIZER.encode(SENTENCES[3])
    assert lengths[ids].sum() == len(SENTENCES[3].encode())


def test_bytes_that_are_no_utf8_decode_to_replacement_characters() -> None:
    assert TOKENIZER.decode([0xF0, 0x9F, 0x41]) == "\ufffdA"
    assert TOKENIZER.decode_bytes([0xF0, 0x9F, 0x41]) == b"\xf0\x9fA"


@pytest.mark.parametrize("token_id", [-1, TOKENIZER.vocab_size])
def test_ids_outside_the_vocabulary_are_refused(token_id: int) -> None:
    with pytest.raises(UsageError, match="outside the vocabulary"):
        TOKENIZER.decode([token_id])


def test_a_saved_tokenizer_loads_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "tokenizer.json"
    sha256 = TOKENIZER.save(path)
    loaded = Tokenizer.from_file(path)
    assert sha256 == loaded.hash == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.merges == TOKENIZER.merges
    assert loaded.encode(SENTENCES[1]) == TOKENIZER.encode(SENTENCES[1])
    assert loaded.save(path) == sha256
    assert [entry.name for entry in path.parent.iterdir()] == ["tokenizer.json"]


def shuffled_tokens() -> list[bytes]:
    """A vocabulary whose bytes come backwards, with a token that no merge can reach."""
    return [bytes([value]) for value in reversed(range(256))] + [b"ab", b"abcd", b"abc"]


def test_a_vocabulary_of_tokens_keeps_their_order_and_loads_as_it_was(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_tokens(shuffled_tokens(), pattern=r"\w+|\W+")
    assert tokenizer.merges is None
    assert tokenizer.vocab_size == 259 + 9
    assert tokenizer.encode("abcd abc ab~") == [257, 223, 258, 223, 256, 129]
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.from_file(tmp_path / "tokenizer.json")
    assert (loaded.hash, loaded.tokens) == (tokenizer.hash, tokenizer.tokens)
    assert loaded.decode(loaded.encode("d\u00e9j\u00e0 vu")) == "d\u00e9j\u00e0 vu"


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        (shuffled_tokens()[1:], "byte 255 has no token"),
        ([*shuffled_tokens(), b"ab"], "b'ab' occurs twice"),
        ([*shuffled_tokens(), b""], "token 259 is empty"),
        ([*shuffled_tokens(), bytes(2**26)], "the limit is"),
    ],
)
def test_tokens_that_are_no_vocabulary_are_refused(tokens: list[bytes], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Tokenizer.from_tokens(tokens, pattern=SPLIT_PATTERN)


def test_ids_are_as_narrow_as_the_vocabulary_allows() -> None:
    many = [bytes([value]) for value in range(256)] + [b"%06d" % k for k in range(2**16 - 264)]
    assert Tokenizer.from_tokens(many[:-1], pattern=SPLIT_PATTERN).id_dtype is np.uint16
    assert Tokenizer.from_tokens(many, pattern=SPLIT_PATTERN).id_dtype is np.uint32


def edit(**changes: Any) -> Callable[[dict[str, Any]], bytes]:
    return lambda body: json.dumps({**body, **changes}).encode()


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: b"",
        lambda body: json.dumps(body).encode()[:-20],
        lambda body: b"\xff\xfe" + json.dumps(body).encode(),
        lambda body: b"[" * 200_000,
        lambda body: b"[]",
        edit(v=2),
        edit(merges=None),
        edit(merges=[[97]]),
        edit(merges=[[97, True]]),
        edit(merges=[[97, 98.0]]),
        edit(merges=[[97, -1]]),
        edit(merges=[[97, 256]]),
        edit(merges=[[97, 98], [97, 98]]),
        edit(merges=[[97, 97], [97, 256], [256, 97]]),
        edit(merges=[[97, 97]] + [[256 + k, 256 + k] for k in range(60)]),
        edit(special_tokens=["<|bos|>"]),
        edit(tokens=["not base64"]),
        edit(tokens=[7]),
        edit(tokens=[]),
        edit(pattern=7),
        edit(trained_on=[]),
    ],
)
def test_a_damaged_file_is_corrupt(
    tmp_path: Path, damage: Callable[[dict[str, Any]], bytes]
) -> None:
    path = tmp_path / "tokenizer.json"
    TOKENIZER.save(path)
    path.write_bytes(damage(json.loads(path.read_bytes())))
    with pytest.raises(Corrupt, match=r"tokenizer\.json is not a usable tokenizer"):
        Tokenizer.from_file(path)


def test_a_pattern_that_does_not_compile_is_corrupt() -> None:
    with pytest.raises(Corrupt, match="pattern"):
        Tokenizer((), pattern="(").encode("x")


def test_a_pattern_that_cannot_get_through_a_long_text_says_so() -> None:
    with pytest.raises(UsageError, match="gave up on a text of 3000000 bytes"):
        Tokenizer((), pattern=r"\s+(?!\S)|\s+|\S+").encode(" " * 3_000_000)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="run the tok stage"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")

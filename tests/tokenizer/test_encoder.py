"""The bulk encoder against tiktoken, on vocabularies from training and on impossible ones."""

from __future__ import annotations

import inspect
import signal
import threading
import time
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import _bpe
from core.tokenizer import SPLIT_PATTERN
from tests.tokenizer.builders import SENTENCES, TRICKY, tricky_text
from tests.tokenizer.test_split import PATTERNS, tokens_of

# Not one of those with a splitter of their own; it drops digits.
OTHER_PATTERN = r"\p{L}{1,5}|[^\p{L}\d]+"
any_pattern = pytest.mark.parametrize(
    "pattern", [SPLIT_PATTERN, PATTERNS["gpt4"], PATTERNS["gpt2"], OTHER_PATTERN]
)
BYTES = [bytes([value]) for value in range(256)]
REPEATED = st.lists(
    st.tuples(st.sampled_from([*TRICKY, "the ", "ab", "\u5b57"]), st.integers(1, 300)), max_size=6
).map(lambda parts: "".join(part * count for part, count in parts))
texts = tricky_text | REPEATED
few_bytes = st.lists(st.sampled_from([*b" abt'\n", 0xC3, 0xA9]), min_size=2, max_size=6).map(bytes)


@st.composite
def vocabularies(draw: st.DrawFn) -> list[bytes]:
    """All bytes and other tokens in any order: trained ones, and such that no merge can reach."""
    learned = draw(st.lists(tricky_text, max_size=3))
    words = {word.encode(): 1 for text in learned for word in _bpe.split(text, SPLIT_PATTERN)}
    tokens = tokens_of(_bpe.train_words(words, draw(st.integers(0, 60))))
    tokens += draw(st.lists(few_bytes | tricky_text.map(str.encode), max_size=40))
    tokens = [token for token in dict.fromkeys(tokens) if token]
    order = draw(st.sampled_from(["as it is", "reversed", "shuffled"]))
    if order == "shuffled":
        draw(st.randoms(use_true_random=False)).shuffle(tokens)
    return tokens[::-1] if order == "reversed" else tokens


def reference(tokens: Sequence[bytes], pattern: str) -> tiktoken.Encoding:
    ranks = {token: rank for rank, token in enumerate(tokens) if token}
    return tiktoken.Encoding("test", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def reference_batch(
    tokens: Sequence[bytes], docs: Iterable[str], prefix: list[int]
) -> tuple[list[int], list[int]]:
    encoding = reference(tokens, SPLIT_PATTERN)
    found = [prefix + encoding.encode_ordinary(doc) for doc in docs]
    return list(chain.from_iterable(found)), list(accumulate(map(len, found), initial=0))


def lists(arrays: tuple[NDArray[Any], NDArray[np.int64]]) -> tuple[list[int], list[int]]:
    ids, offsets = arrays
    return ids.tolist(), offsets.tolist()


@any_pattern
@settings(max_examples=100, deadline=None)
@given(tokens=vocabularies(), text=texts)
def test_ids_are_those_of_tiktoken(pattern: str, tokens: list[bytes], text: str) -> None:
    encoder = _bpe.Encoder(tokens, pattern)
    expected = reference(tokens, pattern).encode_ordinary(text)
    assert encoder.encode(text).tolist() == expected
    # Now every word is remembered.
    assert encoder.encode(text + text).tolist() == (
        reference(tokens, pattern).encode_ordinary(text + text)
    )


@any_pattern
def test_real_text_has_the_ids_of_tiktoken(pattern: str) -> None:
    text = "".join(inspect.getsource(module) for module in (inspect, pytest, np.ma.core))
    text += "".join(SENTENCES)
    words: dict[bytes, int] = {}
    for word in _bpe.split(text, pattern):
        words[word.encode()] = words.get(word.encode(), 0) + 1
    tokens = tokens_of(_bpe.train_words(words, 3000))
    encoder = _bpe.Encoder(tokens, pattern)
    expected = reference(tokens, pattern).encode_ordinary(text)
    for _ in range(2):
        assert encoder.encode(text).tolist() == expected


@pytest.mark.parametrize("unit", ["a", "ab", "\u5b57", " ", "\n", "=", "a1", "\r\n "])
def test_a_megabyte_of_the_same_has_the_ids_of_tiktoken(unit: str) -> None:
    tokens = [*BYTES, b"aa", b"ba", b"aaaa", b"ab" * 3, b"aba", b"==", b"=" * 4, b"  ", b" " * 4]
    tokens += [b"\n\n", "\u5b57".encode(), "\u5b57".encode()[:2], ("\u5b57" * 2).encode()]
    text = unit * (1_000_000 // len(unit.encode()))
    encoder = _bpe.Encoder(tokens, SPLIT_PATTERN)
    # tiktoken's regex engine gives up on longer runs; words of it are one word here.
    part = text[: len(text) // 4]
    expected = reference(tokens, SPLIT_PATTERN).encode_ordinary(part)
    assert encoder.encode(part).tolist() == expected
    ids = encoder.encode(text)
    assert b"".join(tokens[index] for index in ids.tolist()) == text.encode()


def test_fifty_megabytes_of_one_letter_are_encoded() -> None:
    powers = [b"a" * 2**power for power in range(1, 10)]
    encoder = _bpe.Encoder([*BYTES, *powers], SPLIT_PATTERN)
    ids = encoder.encode("a" * 50_000_000)
    assert ids.dtype == np.uint16
    assert len(ids) <= 50_000_000 // 512 + 9
    assert (ids[: 50_000_000 // 512] == 256 + 8).all()


@settings(max_examples=60, deadline=None)
@given(
    tokens=vocabularies(),
    docs=st.lists(texts, max_size=6),
    prefix=st.none() | st.integers(0, 70_000),
    num_threads=st.integers(1, 4),
)
def test_documents_come_end_to_end_whatever_the_threads(
    tokens: list[bytes], docs: list[str], prefix: int | None, num_threads: int
) -> None:
    encoder = _bpe.Encoder(tokens, SPLIT_PATTERN)
    # Long enough to be cut and dealt out to threads.
    docs = docs + [doc * (200_000 // (len(doc) + 1)) for doc in docs[:1]]
    expected = reference_batch(tokens, docs, [] if prefix is None else [prefix])
    found = encoder.encode_batch(docs, prefix=prefix, num_threads=num_threads)
    assert lists(found) == expected
    assert found[0].dtype == (np.uint16 if (prefix or 0) < 2**16 else np.uint32)
    assert found[1].dtype == np.int64
    array = pa.array(docs, pa.string())
    assert lists(encoder.encode_arrow(array, prefix=prefix, num_threads=num_threads)) == expected
    counts = encoder.count_tokens(docs, num_threads=num_threads)
    bare, _ = encoder.encode_batch(docs)
    assert counts.dtype == np.int64
    assert np.array_equal(counts, np.bincount(bare, minlength=len(tokens)))


ROWS = ["", "It's", None, "\u00fcber 12345", None, " the\n\n  end", "x" * 40, "\U0001f642"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()])
@pytest.mark.parametrize(("start", "length"), [(0, 8), (1, 5), (2, 1), (4, 4), (8, 0)])
def test_slices_of_arrow_arrays_are_encoded_and_a_null_is_empty(
    kind: pa.DataType, start: int, length: int
) -> None:
    tokens = [*BYTES, b"It", b" the", b"xx"]
    encoder = _bpe.Encoder(tokens, SPLIT_PATTERN)
    array = pa.array(ROWS, pa.string()).cast(kind).slice(start, length)
    docs = [row or "" for row in ROWS[start : start + length]]
    expected = reference_batch(tokens, docs, [300])
    assert lists(encoder.encode_arrow(array, prefix=300)) == expected
    chunked = pa.chunked_array([array.slice(0, 2), array.slice(2)], kind)
    assert lists(encoder.encode_arrow(chunked, prefix=300)) == expected


def test_arrow_arrays_that_hold_no_text_are_refused() -> None:
    encoder = _bpe.Encoder(BYTES, SPLIT_PATTERN)
    with pytest.raises(ValueError, match=r"cast it to pa.string\(\)"):
        encoder.encode_arrow(pa.array([1]))
    with pytest.raises(ValueError, match="row 2 is not UTF-8 at byte 1"):
        encoder.encode_arrow(pa.array([b"a", None, b"b\xff"]))


def test_lone_surrogates_are_repaired_as_tiktoken_does() -> None:
    encoder = _bpe.Encoder([*BYTES, b"ab"], SPLIT_PATTERN)
    encoding = reference([*BYTES, b"ab"], SPLIT_PATTERN)
    for text in ["\ud800", "ab\udfffab", "\ud83d\ude42", "\udc80\ud800a", "\0\ud800\0"]:
        expected = encoding.encode_ordinary(text)
        assert encoder.encode(text).tolist() == expected
        assert encoder.encode_batch([text])[0].tolist() == expected


def test_ids_are_as_wide_as_the_vocabulary_or_the_prefix_needs() -> None:
    for num_tokens, kind in [(65_536, np.uint16), (65_537, np.uint32)]:
        tokens = BYTES + [b""] * (num_tokens - 257) + [b"ab"]
        encoder = _bpe.Encoder(tokens, SPLIT_PATTERN)
        assert encoder.num_tokens == num_tokens
        ids = encoder.encode("abc")
        assert ids.dtype == kind
        assert ids.tolist() == [num_tokens - 1, ord("c")]
        assert encoder.encode_words("abc")[0].dtype == kind
        assert encoder.encode_batch(["abc"])[0].dtype == kind
        assert len(encoder.count_tokens(["abc"])) == num_tokens
    encoder = _bpe.Encoder(BYTES, SPLIT_PATTERN)
    assert encoder.encode_batch([""], prefix=65_535)[0].dtype == np.uint16
    assert encoder.encode_batch([], prefix=65_536)[0].dtype == np.uint32
    assert encoder.encode_batch(["a"], prefix=2**32 - 1)[0].tolist() == [2**32 - 1, 97]


@any_pattern
@settings(max_examples=60, deadline=None)
@given(tokens=vocabularies(), text=texts)
def test_word_ends_are_where_the_words_of_split_end(
    pattern: str, tokens: list[bytes], text: str
) -> None:
    encoder = _bpe.Encoder(tokens, pattern)
    ids, ends = encoder.encode_words(text)
    assert ids.tolist() == encoder.encode(text).tolist()
    data = text.encode()
    words = [word.encode() for word in _bpe.split(text, pattern)]
    assert [data[:end].endswith(word) for word, end in zip(words, ends, strict=True)] == (
        [True] * len(words)
    )
    assert all(
        start + len(word) <= end
        for (start, end), word in zip(pairwise([0, *ends.tolist()]), words, strict=True)
    )


def with_tokens(*more: bytes) -> list[bytes]:
    return [*BYTES, *more]


@pytest.mark.parametrize(
    ("tokens", "pattern", "reason"),
    [
        (BYTES[1:], SPLIT_PATTERN, "no token is the byte 0x00 alone"),
        ([], SPLIT_PATTERN, "needs all 256"),
        (with_tokens(b"\x41"), SPLIT_PATTERN, "tokens 65 and 256 have the same bytes"),
        (with_tokens(b"ab", b"xyz", b"ab"), SPLIT_PATTERN, "tokens 256 and 258"),
        (with_tokens(b"xyz", b"ab", b"xyz"), SPLIT_PATTERN, "tokens 256 and 258"),
        ([*BYTES, *[b""] * 2**21], SPLIT_PATTERN, "2097408 tokens are too many"),
        (BYTES, "(", "the split pattern does not compile"),
    ],
)
def test_what_is_no_vocabulary_is_told(tokens: list[bytes], pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        _bpe.Encoder(tokens, pattern)


def test_bad_arguments_are_told() -> None:
    encoder = _bpe.Encoder(BYTES, SPLIT_PATTERN)
    for prefix in (-1, 2**32):
        with pytest.raises(ValueError, match="prefix must be an id"):
            encoder.encode_batch(["a"], prefix=prefix)
    with pytest.raises(ValueError, match="num_threads must be above 0"):
        encoder.encode_batch(["a"], num_threads=0)
    with pytest.raises(TypeError):
        encoder.encode_batch([b"a"])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        _bpe.Encoder(["a"], SPLIT_PATTERN)  # type: ignore[list-item]


def test_a_pattern_that_gives_up_is_an_error_and_the_encoder_stays_usable() -> None:
    encoder = _bpe.Encoder(BYTES, SPLIT_PATTERN + "|never")
    with pytest.raises(ValueError, match="gave up on a text of 3000000 bytes"):
        encoder.encode_batch(["fine", " " * 3_000_000, "fine"])
    assert encoder.encode("ok").tolist() == [111, 107]


def test_threads_may_share_an_encoder() -> None:
    tokens = [*BYTES, b"th", b"the", b" the"]
    encoder = _bpe.Encoder(tokens, SPLIT_PATTERN)
    docs = [f"the thing of {number} is the same the " * 500 for number in range(20)]
    expected = reference_batch(tokens, docs, [])
    found: list[tuple[list[int], list[int]]] = []

    def work() -> None:
        found.append(lists(encoder.encode_batch(docs)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_what_is_remembered_is_told_and_bounded() -> None:
    encoder = _bpe.Encoder(BYTES, SPLIT_PATTERN)
    empty = encoder.memory_bytes
    words = " ".join(f"{number:x}".translate(LETTERS) for number in range(1_000_000))
    encoder.encode_batch([words], num_threads=1)
    assert 2**22 < encoder.memory_bytes - empty < 2**26


LETTERS = str.maketrans("0123456789", "ghijklmnop")


@pytest.mark.parametrize("pattern", [SPLIT_PATTERN, OTHER_PATTERN])
@pytest.mark.parametrize("unit", ["a", "some words in a line, "])
@pytest.mark.parametrize("num_threads", [1, 2])
def test_ctrl_c_ends_the_work(pattern: str, unit: str, num_threads: int) -> None:
    text = unit * (100_000_000 // len(unit))
    encoder = _bpe.Encoder([*BYTES, b"aa"], pattern)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    started = time.thread_time()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            encoder.encode_batch([text, text], num_threads=num_threads)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    # The calling thread waits; it does none of the work.
    assert time.thread_time() - started < 1
    assert encoder.encode("aaa").tolist() == [256, 97]

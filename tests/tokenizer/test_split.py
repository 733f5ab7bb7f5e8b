"""The splitters and the word counter against tiktoken, Python's decoder and pyarrow."""

from __future__ import annotations

import inspect
import mmap
import re
import signal
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken_ext import openai_public  # type: ignore[import-untyped]

from core import _bpe, bpe
from core.tokenizer import SPLIT_PATTERN
from tests.tokenizer.builders import SENTENCES, TRICKY, tricky_text


def tiktoken_pattern(name: str) -> str:
    """The pattern that the installed tiktoken writes for an encoding."""
    found = re.search(r'"pat_str": r"""(.*?)"""', inspect.getsource(getattr(openai_public, name)))
    assert found
    return found[1]


PATTERNS = {
    "lab": SPLIT_PATTERN,
    "gpt4": tiktoken_pattern("cl100k_base"),
    "gpt4 of rustbpe": SPLIT_PATTERN.replace("{1,2}", "{1,3}"),
    "gpt4 as published": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "gpt2": openai_public.r50k_pat_str,
    "gpt2 as published": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"
    r"|\s+(?!\S)|\s+",
}
any_pattern = pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS.keys())
# Runs that reach over the 64 bytes that the splitters look at together.
long_text = st.lists(
    st.tuples(st.sampled_from([*TRICKY, "word ", "12", "\n    "]), st.integers(1, 70)), max_size=12
).map(lambda parts: "".join(part * count for part, count in parts))


def assert_words_equal_tiktoken(text: str, pattern: str) -> None:
    # Merges learned across word borders show every border that the two disagree on.
    merges = _bpe.train_words({text.encode(): 1}, 2000)
    ranks = {token: rank for rank, token in enumerate(tokens_of(merges))}
    encoding = tiktoken.Encoding("test", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    words = _bpe.split(text, pattern)
    assert "".join(words) == text
    expected = [index for word in words for index in bpe.encode_word(word.encode(), merges)]
    assert encoding.encode_ordinary(text) == expected


def tokens_of(merges: list[tuple[int, int]]) -> list[bytes]:
    tokens = [bytes([value]) for value in range(256)]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return tokens


@any_pattern
@settings(max_examples=150, deadline=None)
@given(text=tricky_text | long_text)
def test_words_equal_those_of_tiktoken(pattern: str, text: str) -> None:
    assert_words_equal_tiktoken(text, pattern)


@any_pattern
def test_real_text_has_the_words_of_tiktoken(pattern: str) -> None:
    assert_words_equal_tiktoken(Path(inspect.__file__).read_text()[20_000:26_000], pattern)
    assert_words_equal_tiktoken("".join(SENTENCES), pattern)


@any_pattern
def test_every_spelling_in_use_is_recognised(pattern: str) -> None:
    # The regex engine would give up on so long a run.
    assert _bpe.split(" " * 3_000_000, pattern) == [" " * 3_000_000]


@pytest.mark.parametrize("unit", ["a", " ", "\n", "7", "\u5b57", "ab, "])
def test_fifty_megabytes_without_a_line_break_are_counted(unit: str) -> None:
    text = unit * (50_000_000 // len(unit.encode()))
    counter = _bpe.WordCounter(SPLIT_PATTERN)
    assert counter.feed([text])
    assert (counter.num_docs, counter.num_chars) == (1, len(text))
    words = counter.words()
    assert sum(len(word) * count for word, count in words.items()) == len(text.encode())


def counts(pattern: str, texts: list[str]) -> dict[bytes, int]:
    return dict(Counter(word.encode() for text in texts for word in _bpe.split(text, pattern)))


@any_pattern
@settings(max_examples=30, deadline=None)
@given(texts=st.lists(tricky_text | long_text, max_size=5), num_threads=st.integers(1, 4))
def test_the_counter_counts_the_words_of_split(
    pattern: str, texts: list[str], num_threads: int
) -> None:
    # Long enough to be cut into pieces for the threads.
    texts = [text * (300_000 // (len(text) + 1)) for text in texts[:1]] + texts
    counter = _bpe.WordCounter(pattern, num_threads=num_threads)
    assert counter.feed(texts)
    assert counter.words() == counts(pattern, texts)
    assert counter.num_words == len(counter.words())


def test_feed_takes_any_iterable_and_holds_little_of_it() -> None:
    counter = _bpe.WordCounter(SPLIT_PATTERN, max_chars=20_000_000)
    taken = 0

    def texts() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield "x" * 1_000_000

    assert not counter.feed(texts())
    assert (counter.num_docs, counter.num_chars) == (20, 20_000_000)
    assert taken < 40


def test_memory_is_told_and_stays_small() -> None:
    counter = _bpe.WordCounter(SPLIT_PATTERN, num_threads=1)
    empty = counter.memory_bytes
    counter.feed("".join(chr(97 + int(d)) for d in str(number)) for number in range(200_000))
    assert counter.num_words == 200_000
    assert 24 * counter.num_words < counter.memory_bytes - empty < 40 * counter.num_words


ROWS = ["", "It's", None, "\u00fcber 12345", None, " the\n\n  end", "x" * 40, "\U0001f642"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
@pytest.mark.parametrize(("start", "length"), [(0, 8), (1, 5), (3, 1), (2, 1), (8, 0)])
def test_arrow_rows_count_as_their_texts_do(kind: pa.DataType, start: int, length: int) -> None:
    array = pa.array(ROWS, pa.string()).cast(kind).slice(start, length)
    counter = _bpe.WordCounter(SPLIT_PATTERN)
    assert counter.feed_arrow(array)
    texts = [row for row in ROWS[start : start + length] if row is not None]
    assert counter.words() == counts(SPLIT_PATTERN, texts)
    assert counter.num_docs == len(texts)
    assert counter.num_chars == sum(map(len, texts))


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.none() | tricky_text, max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=3),
)
def test_chunked_arrow_arrays_count_as_their_texts_do(
    rows: list[str | None], cuts: list[int]
) -> None:
    whole = pa.array(rows, pa.string())
    places = [0, *sorted(cuts), len(rows)]
    chunks = [whole[start:end] for start, end in pairwise(places)]
    counter = _bpe.WordCounter(SPLIT_PATTERN)
    counter.feed_arrow(pa.chunked_array(chunks, pa.string()))
    texts = [text for chunk in chunks for text in chunk.to_pylist() if text is not None]
    assert counter.words() == counts(SPLIT_PATTERN, texts)


def test_arrow_arrays_of_other_types_are_refused() -> None:
    counter = _bpe.WordCounter(SPLIT_PATTERN)
    for array in [pa.array([1]), pa.nulls(3), pa.array(["a"]).dictionary_encode()]:
        with pytest.raises(ValueError, match=r"cast it to pa.string\(\)"):
            counter.feed_arrow(array)
    with pytest.raises(AttributeError):
        counter.feed_arrow(["a list"])


def test_arrow_buffers_that_do_not_fit_are_refused() -> None:
    for offsets, size in [([0, 9, 3], 2), ([0, 2, 1], 2), ([0, -1, 1], 2)]:
        packed = b"".join(value.to_bytes(4, "little", signed=True) for value in offsets)
        buffers = [None, pa.py_buffer(packed), pa.py_buffer(b"abc")]
        array = pa.Array.from_buffers(pa.string(), size, buffers)
        counter = _bpe.WordCounter(SPLIT_PATTERN)
        with pytest.raises(ValueError, match="do not fit"):
            counter.feed_arrow(array)


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(st.binary(max_size=8) | tricky_text.map(str.encode), max_size=8))
def test_bytes_count_as_their_decoded_text(parts: list[bytes]) -> None:
    data = b"".join(parts)
    text = data.decode("utf-8", errors="replace")
    counter = _bpe.WordCounter(SPLIT_PATTERN)
    for buffer in (data, bytearray(data), memoryview(data)):
        assert counter.feed_bytes(buffer, errors="replace")
    assert counter.words() == counts(SPLIT_PATTERN, [text] * 3)
    assert counter.num_replaced == 3 * (text.count("\ufffd") - data.count("\ufffd".encode()))
    assert counter.num_chars == 3 * len(text)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=12) | tricky_text.map(str.encode))
def test_refused_bytes_are_named_and_change_nothing(data: bytes) -> None:
    counter = _bpe.WordCounter(SPLIT_PATTERN)
    try:
        data.decode()
    except UnicodeDecodeError as error:
        message = f"document is not UTF-8 at byte {error.start};"
        with pytest.raises(ValueError, match=message):
            counter.feed_bytes(data, errors="refuse")
        array = pa.array([b"fine", None, data], pa.binary())
        message = f"row 2 is not UTF-8 at byte {error.start};"
        with pytest.raises(ValueError, match=message):
            counter.feed_arrow(array, errors="refuse")
        assert (counter.words(), counter.num_docs, counter.num_chars) == ({}, 0, 0)
    else:
        counter.feed_bytes(data, errors="refuse")
        assert counter.words() == counts(SPLIT_PATTERN, [data.decode()])


def test_bad_buffers_and_bad_errors_are_told() -> None:
    counter = _bpe.WordCounter(SPLIT_PATTERN)
    with pytest.raises(BufferError, match="not contiguous"):
        counter.feed_bytes(memoryview(b"abcd")[::2])
    with pytest.raises(TypeError):
        counter.feed_bytes("text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'replace' or 'refuse'"):
        counter.feed_bytes(b"", errors="ignore")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        counter.feed([b"bytes"])  # type: ignore[list-item]


def test_a_mapped_file_is_one_document(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("".join(SENTENCES), encoding="utf-8")
    counter = _bpe.WordCounter(SPLIT_PATTERN)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        counter.feed_bytes(mapped)
    assert counter.words() == counts(SPLIT_PATTERN, ["".join(SENTENCES)])


@pytest.mark.parametrize("pattern", [SPLIT_PATTERN, r"\w+|\W+"])
@pytest.mark.parametrize("num_threads", [1, 2])
def test_ctrl_c_ends_a_feed_which_can_be_followed_by_another(
    pattern: str, num_threads: int
) -> None:
    size = 300_000_000 if pattern == SPLIT_PATTERN else 20_000_000
    text = "some words in a line, " * (size // 22)
    counter = _bpe.WordCounter(pattern, num_threads=num_threads)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            counter.feed_bytes(text.encode())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    # An interrupt that only came through at the end would have counted everything.
    assert counter.words().get(b" words", counter.words().get(b"words", 0)) < size // 22
    num_words = sum(counter.words().values())
    assert counter.feed(["one more"])
    assert sum(counter.words().values()) > num_words


def test_a_second_thread_may_not_feed_at_the_same_time() -> None:
    counter = _bpe.WordCounter(r"\w|\W", num_threads=1)
    started, text = threading.Event(), "a b " * 1_000_000

    def texts() -> Any:
        started.set()
        yield text

    thread = threading.Thread(target=counter.feed, args=(texts(),))
    thread.start()
    started.wait()
    with pytest.raises(RuntimeError, match="borrowed"):
        while thread.is_alive():
            counter.feed(["c"])
    thread.join()
    assert counter.words()[b"a"] == 1_000_000

"""The Rust trainer against its definition, and the edges of its Python interface."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import _bpe, bpe
from core.tokenizer import SPLIT_PATTERN
from tests.tokenizer.builders import SENTENCES, train, tricky_text, word_counts


def counter(**limits: int) -> _bpe.WordCounter:
    return _bpe.WordCounter(SPLIT_PATTERN, **limits)


@settings(max_examples=300, deadline=None)
@given(counts=word_counts, num_merges=st.integers(0, 40))
def test_merges_equal_the_definition_on_corpora_full_of_ties(
    counts: dict[bytes, int], num_merges: int
) -> None:
    assert _bpe.train_words(counts, num_merges) == bpe.train_words(counts, num_merges)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(tricky_text, max_size=6))
def test_merges_equal_the_definition_on_text(texts: list[str]) -> None:
    words = Counter(w.encode() for text in texts for w in _bpe.split(text, SPLIT_PATTERN))
    assert train(texts, 60) == bpe.train_words(words, 60)


@settings(max_examples=200, deadline=None)
@given(counts=word_counts)
def test_no_two_merges_make_the_same_bytes(counts: dict[bytes, int]) -> None:
    tokens = [bytes([value]) for value in range(256)]
    for left, right in _bpe.train_words(counts, 1000):
        tokens.append(tokens[left] + tokens[right])
    assert len(set(tokens)) == len(tokens)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_merges_do_not_depend_on_chunks_batches_or_threads(step: int) -> None:
    words = counter(num_threads=3)
    for text in SENTENCES * 400:
        words.feed([text, text.upper()])
    trainer = words.trainer(150)
    while not trainer.is_done:
        trainer.advance(step)
    once = counter(num_threads=1)
    once.feed([text for one in SENTENCES * 400 for text in (one, one.upper())])
    assert trainer.merges() == _bpe.train_words(once.words(), 150)


def test_a_counter_trains_any_number_of_times_and_small_is_a_prefix_of_large() -> None:
    words = counter()
    words.feed(SENTENCES)
    small, large = words.trainer(20), words.trainer(60)
    small.advance(1000)
    large.advance(1000)
    assert small.merges() == large.merges()[:20]


def test_text_limits_are_exact_in_characters() -> None:
    words = counter(max_chars=7, max_doc_chars=4)
    assert words.feed(["\u00e9\u00e9\u00e9\u00e9\u00e9"])
    assert not words.feed(["abcdef", "never read"])
    assert words.words() == {b"abc": 1, "\u00e9\u00e9\u00e9\u00e9".encode(): 1}
    assert (words.num_docs, words.num_chars) == (2, 7)


def test_training_stops_early_when_no_pair_is_left() -> None:
    assert train(["abc", "abc"], 100) == [(97, 98), (256, 99)]
    assert train([], 100) == []


def test_lone_surrogates_count_as_the_encoder_reads_them() -> None:
    assert _bpe.split("a\ud800b \ud83d\ude42", SPLIT_PATTERN) == ["a", "\ufffdb", " \U0001f642"]
    assert train(["\udcff\udcff"], 1) == train(["\ufffd\ufffd"], 1)


@pytest.mark.parametrize("pattern", ["(", r"\p{Nonsense}", "[z-a]"])
def test_a_bad_pattern_is_a_value_error(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        _bpe.train([], 1, pattern, max_chars=1, max_doc_chars=1)


def test_counts_and_merges_that_do_not_fit_are_value_errors() -> None:
    with pytest.raises(ValueError, match="63 bits"):
        _bpe.train_words({b"abc": 2**63 - 1}, 1)
    with pytest.raises(ValueError, match="32-bit"):
        _bpe.train_words({b"ab": 1}, 2**32)


def test_a_text_that_the_pattern_gives_up_on_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="lower max_doc_chars"):
        _bpe.split(" " * 3_000_000, r"\s+(?!\S)|\s+|\S+")


def test_an_error_in_progress_or_in_the_texts_ends_the_training() -> None:
    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _bpe.train(["abab"], 2, ".+", max_chars=10, max_doc_chars=10, progress=fail)
    with pytest.raises(ZeroDivisionError):
        _bpe.train((str(1 // n) for n in (1, 0)), 2, ".+", max_chars=10, max_doc_chars=10)


def test_progress_is_told_from_counting_to_the_last_merge() -> None:
    told: list[tuple[int, int]] = []
    _bpe.train(
        SENTENCES, 100, SPLIT_PATTERN, max_chars=10**6, max_doc_chars=10**6,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told[0] == (0, 100)
    assert told[-1] == (100, 100)


def test_counting_leaves_the_interpreter_free() -> None:
    words = counter()
    texts = ["".join(chr(97 + (i * j) % 26) for j in range(99)) + " " for i in range(200)] * 300
    thread = threading.Thread(target=words.feed, args=(texts,))
    thread.start()
    num_turns = 0
    while thread.is_alive():
        num_turns += 1
    thread.join()
    assert num_turns > 1000

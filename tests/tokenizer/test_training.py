"""The Rust trainer against its definition, and the edges of its Python interface."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
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


def test_the_log_of_a_training_holds_the_count_of_each_merge() -> None:
    words = counter()
    words.feed(SENTENCES * 3)
    trainer = words.trainer(80)
    trainer.advance(1000)
    word_ids = [(list(word), count) for word, count in words.words().items()]
    for index, (pair, count) in enumerate(zip(trainer.merges(), trainer.counts(), strict=True)):
        assert count == bpe.count_pairs(word_ids)[pair]
        word_ids = [(bpe.merge(ids, pair, 256 + index), n) for ids, n in word_ids]


def test_merges_and_counts_come_as_arrays_too() -> None:
    words = counter()
    words.feed(SENTENCES)
    trainer = words.trainer(30)
    assert trainer.merges_array().shape == (0, 2)
    trainer.advance(30)
    assert trainer.merges_array().dtype == np.uint32
    assert trainer.merges_array().tolist() == [list(pair) for pair in trainer.merges()]
    assert trainer.counts().dtype == np.uint64
    assert trainer.counts().shape == (30,)


def test_a_trainer_says_what_memory_it_takes() -> None:
    words = counter()
    words.feed(SENTENCES * 100)
    trainer = words.trainer(50)
    trainer.advance(50)
    assert 0 < trainer.memory_bytes <= trainer.peak_memory_bytes < 50_000_000


class Alarm(Exception):
    pass


@pytest.fixture
def alarm() -> Iterator[Callable[[], None]]:
    """Return a function that makes a signal handler raise Alarm a millisecond later."""

    def ring(signum: int, frame: object) -> None:
        raise Alarm

    def wind() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.001)

    before = signal.signal(signal.SIGALRM, ring)
    yield wind
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_an_interrupted_trainer_goes_on_where_it_was(alarm: Callable[[], None]) -> None:
    word = b"ab" * 3_000_000 + b"c"
    words = _bpe.WordCounter(".+", max_chars=10**9, max_doc_chars=10**9)
    words.feed([word.decode()])
    trainer = words.trainer(40)
    num_alarms = 0
    while not trainer.is_done:
        try:
            alarm()
            trainer.advance(40)
        except Alarm:
            num_alarms += 1
    assert num_alarms > 0
    assert trainer.merges() == _bpe.train_words({word: 1}, 40)


def test_a_signal_ends_a_training_on_many_words(alarm: Callable[[], None]) -> None:
    words = {b"%d" % number: 1 for number in range(300_000)}
    with pytest.raises(Alarm):
        alarm()
        _bpe.train_words(words, 10_000)


@pytest.mark.parametrize("num_merges", [65_279, 65_280, 65_281, 100_000])
def test_more_merges_than_16_bits_hold_are_made_alike(num_merges: int) -> None:
    words = {b"%x" % (number * 2_654_435_761 % 2**32): 1 + number % 7 for number in range(30_000)}
    assert _bpe.train_words(words, num_merges)[:2_000] == _bpe.train_words(words, 2_000)


def test_a_word_of_one_letter_is_merged_in_halves() -> None:
    merges = _bpe.train_words({b"a" * 1_000_000: 1}, 100)
    assert merges[:4] == [(97, 97), (256, 256), (257, 257), (258, 258)]
    assert merges == bpe.train_words({b"a" * 1_000_000: 1}, len(merges))


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
        _bpe.train([], 1, pattern)


def test_counts_and_merges_that_do_not_fit_are_value_errors() -> None:
    with pytest.raises(ValueError, match="63 bits"):
        _bpe.train_words({b"abc": 2**63 - 1}, 1)
    assert _bpe.train_words({b"ab": 2**62, b"abc": 2**60, b"x": 2**63}, 1) == [(97, 98)]
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

"""Repeated runs, loops and compression."""

from __future__ import annotations

import random
import zlib

import pytest

from core.experiments.measures.repetition import (
    Loop,
    compression_ratio,
    find_loop,
    first_loop,
    longest_repeat,
)

FRESH = [
    "the sea is wide and grey today", "ships go out before the sun", "my uncle had a red boat",
    "he sold it for a horse", "horses do not swim far", "nobody asked the horse about that",
    "there is a song on the radio", "it rains on the roof again",
]  # fmt: skip


def test_longest_repeat_is_the_longest_run_that_stands_twice() -> None:
    assert longest_repeat([[1, 2, 3, 9, 1, 2, 3, 4]]) == 3
    assert longest_repeat([[5, 5, 5, 5]]) == 3
    assert longest_repeat([[1, 2, 3]]) == 0
    assert longest_repeat([[]]) is None
    assert longest_repeat([]) is None


def test_longest_repeat_counts_across_turns_but_no_run_crosses_one() -> None:
    assert longest_repeat([[1, 2, 3], [7, 1, 2, 3]]) == 3
    assert longest_repeat([[1, 2], [3, 4], [1, 2], [3, 4]]) == 2
    assert longest_repeat([[1, 2], [3], [1, 2, 3]]) == 2


def test_longest_repeat_equals_a_plain_search() -> None:
    draw = random.Random(1)
    for _ in range(60):
        turns = [draw.choices(range(3), k=draw.randint(0, 12)) for _ in range(3)]
        seen: dict[int, list[tuple[int, ...]]] = {}
        for turn in turns:
            for length in range(1, len(turn) + 1):
                runs = seen.setdefault(length, [])
                runs += [tuple(turn[i : i + length]) for i in range(len(turn) - length + 1)]
        expected = max(
            (length for length, runs in seen.items() if len(set(runs)) < len(runs)), default=0
        )
        assert longest_repeat(turns) == (expected if any(turns) else None)


def test_fresh_talk_has_no_loop() -> None:
    assert first_loop(FRESH) is None
    assert find_loop([]) is None
    assert find_loop(["hello"]) is None


def test_turn_said_three_times_is_a_loop_from_its_first_repetition() -> None:
    texts = [*FRESH[:2], "yes, it is", "Yes it is!", "yes: it is"]
    assert find_loop(texts[:-1]) is None
    assert find_loop(texts) == Loop(kind="turns", onset_turn=3, period=1)


def test_two_speakers_who_alternate_are_in_a_loop_of_two_turns() -> None:
    texts = [FRESH[0], "how are you my friend", "i am fine thank you",
             "how are you my friend", "i am fine thank you"]  # fmt: skip
    assert find_loop(texts) == Loop(kind="turns", onset_turn=3, period=2)


@pytest.mark.parametrize("period", [3, 4, 5, 6])
def test_round_of_turns_is_a_loop_once_all_of_it_came_again(period: int) -> None:
    texts = FRESH[:period] * 2
    assert find_loop(texts[:-1]) is None
    assert find_loop(texts) == Loop(kind="turns", onset_turn=period, period=period)


def test_turn_that_differs_in_one_of_many_words_still_repeats() -> None:
    base = "i went to the market to buy some bread and milk for my family and then"
    assert find_loop([f"{base} {end}" for end in ("ran", "sat", "ate")]) is not None
    short = ["we go home", "we go out", "we go on"]
    assert find_loop(short) is None


def test_turn_that_ends_in_one_phrase_is_a_loop() -> None:
    text = "well, " + "the cat sat on " * 4
    assert find_loop([FRESH[0], text]) == Loop(kind="phrase", onset_turn=1, period=4)
    assert find_loop([FRESH[0], "no " * 15]) is None
    assert find_loop([FRESH[0], "no " * 16]) == Loop(kind="phrase", onset_turn=1, period=1)
    assert find_loop([FRESH[0], "the cat sat on " * 4 + "and then it left"]) is None


def test_turns_without_words_loop_by_their_characters() -> None:
    assert find_loop(["!?!", "!?!", "!?!"]) is not None
    assert find_loop(["!!!", "...", "???"]) is None
    assert find_loop(["", "", ""]) is None


def test_onset_while_turns_arrive_is_the_onset_afterwards() -> None:
    texts = [*FRESH[:3], *["it is so"] * 6]
    loop = first_loop(texts)
    assert loop == Loop(kind="turns", onset_turn=4, period=1)
    assert loop == find_loop(texts[:6])


def test_compression_ratio_is_raw_bytes_over_compressed_bytes() -> None:
    raw = ("again and again " * 50).encode()
    assert compression_ratio(["again and again " * 50]) == pytest.approx(
        len(raw) / len(zlib.compress(raw, 9))
    )
    assert (compression_ratio(["again and again " * 50]) or 0) > 15
    assert (compression_ratio(FRESH[:1]) or 9) < 1
    assert compression_ratio(["", " "]) is None

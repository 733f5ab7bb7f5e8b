"""Answers are marked strictly but fairly, and the stated chance is what guessing gets."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from core.tasks import arithmetic, counting, identity, spelling, standard_library
from core.tasks.registry import TASKS
from core.tasks.words import corpus_words, split_words, words_in

SEED = 5
LEXICON = ("strawberry", "banana", "possess", "tree", "window", "queue", "axis", "buffer")


@pytest.mark.parametrize(
    ("response", "is_right"),
    [
        ("378", True),
        ("The answer is 378.", True),
        ("27 * 14 = 378", True),
        ("27 * 14 = 378.0", True),
        ("It is 3 7 8", False),
        ("378 or 379", False),
        ("-378", False),
        ("1378", False),
        ("", False),
        ("three hundred", False),
    ],
)
def test_arithmetic_is_marked_by_the_last_number(response: str, is_right: bool) -> None:
    assert TASKS["arithmetic"].is_correct("378", response) is is_right


@pytest.mark.parametrize(
    "response", ["-1234", "It is -1,234.", "= \u22121234", "10 - 1244 = -1234"]
)
def test_signs_and_separators_are_understood(response: str) -> None:
    assert arithmetic.is_correct("-1234", response)


def test_difference_without_spaces_is_not_read_as_a_negative_number() -> None:
    assert counting.is_correct("3", "10-3")


@pytest.mark.parametrize(
    ("response", "is_right"),
    [
        ("tree:t,r,e,e", True),
        ("tree: t, r, e, e.", True),
        ("The word is spelled tree:t,r,e,e", True),
        ("tree:t,r,e", False),
        ("tree:t,r,e,e,e", False),
        ("tree:T,R,E,E", False),
        ("t,r,e,e", False),
        ("tree:tree", False),
        ("tree:t r e e", False),
        ("", False),
    ],
)
def test_spelling_is_marked_letter_by_letter(response: str, is_right: bool) -> None:
    assert TASKS["spelling"].is_correct("t,r,e,e", response) is is_right


def test_own_replies_are_marked_right() -> None:
    rng = Random(SEED)
    for word in LEXICON:
        for exchange, task in (
            (spelling.generate(rng, word, variety=1), spelling),
            (counting.generate(rng, word, variety=1), counting),
            (arithmetic.generate(rng, is_held_out=False, variety=1), arithmetic),
        ):
            assert exchange.answer is not None
            assert task.is_correct(exchange.answer, exchange.reply[-1].text)


def test_constant_answers_get_no_more_than_the_stated_chance() -> None:
    rng = Random(SEED)
    words = rng.choices(LEXICON, k=4000)
    counts = Counter(counting.generate(rng, word, variety=1).answer for word in words)
    sums = {}
    for _ in range(4000):
        exchange = arithmetic.generate(rng, is_held_out=True, variety=1)
        sums[exchange.reply[0].text] = exchange.answer
    commonest_sum = max(Counter(sums.values()).values())
    assert max(counts.values()) / 4000 <= TASKS["counting"].chance
    assert commonest_sum / len(sums) <= TASKS["arithmetic"].chance


def test_sum_and_its_mirror_image_are_held_out_together() -> None:
    for left in range(40):
        for operator in "+*":
            one = arithmetic.is_held_out_expression(f"{left} {operator} 17")
            assert one == arithmetic.is_held_out_expression(f"17 {operator} {left}")


def test_expression_in_a_question_is_spelled_as_in_the_code() -> None:
    rng = Random(SEED)
    for _ in range(200):
        exchange = arithmetic.generate(rng, is_held_out=False, variety=0)
        code = exchange.reply[0].text
        spoken = code.replace("*", "times").replace("+", "plus").replace("-", "minus")
        assert code in exchange.question or spoken in exchange.question


def test_every_form_of_a_question_can_be_filled() -> None:
    rng = Random(SEED)
    fact = standard_library.Fact(name="len", sentence="Return the number of items.")
    for _ in range(300):
        questions = [
            spelling.generate(rng, "tree", variety=1).question,
            counting.generate(rng, "tree", variety=1).question,
            arithmetic.generate(rng, is_held_out=False, variety=1).question,
            standard_library.generate(rng, fact, variety=1).question,
            identity.generate(rng).question,
        ]
        assert not any("{" in question or "}" in question for question in questions)


def test_identity_says_what_the_model_is_and_that_it_errs() -> None:
    said = " ".join(identity.fixed_texts())
    assert len(list(identity.fixed_texts())) > 60
    for phrase in ("small language model", "from scratch", "labcli", "on this machine", "wrong"):
        assert phrase in said


def test_corpus_words_are_frequent_plain_words() -> None:
    text = "The window is open. A window and os.path and `window` and windows. "
    assert corpus_words([text] * 3) == ["and", "open", "window", "windows"]
    assert corpus_words([text[:24]]) == []


def test_words_of_fixed_texts_are_never_held_out() -> None:
    words = [first + second + "er" for first in "abcdefghkl" for second in "aeioumnrst"]
    free = split_words(words, fixed_texts=[])
    bound = split_words(words, fixed_texts=[f"Say {free.held_out[0].upper()}!"])
    assert bound.held_out == free.held_out[1:]
    assert not set(free.train) & set(free.held_out)
    assert words_in(["A b-c"]) == {"a", "b", "c"}


def test_few_words_are_not_enough_to_ask_about() -> None:
    assert not split_words(["tree"], fixed_texts=[]).is_enough

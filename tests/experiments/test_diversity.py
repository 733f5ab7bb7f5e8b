"""Words and their variety: by hand, and against nltk and a published figure."""

from __future__ import annotations

import random

import pytest
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from core.experiments.measures.diversity import distinct, mtld, self_bleu, type_token_ratio
from core.experiments.measures.words import words

# The text and figure of the documentation of the library LexicalRichness, whose word rule
# (no digits, no hyphens) is applied by hand.
PUBLISHED = """measure of textual lexical diversity computed as the mean length of sequential words
in a text that maintains a minimum threshold ttr score iterates over words until ttr scores falls
below a threshold then increase factor counter by and start over mccarthy and jarvis pg
recommends a factor threshold in the range of mccarthy mccarthy and jarvis"""
PUBLISHED_MTLD = 46.79226361031519


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's a well-known fact -- isn't it?", ("it's", "a", "well-known", "fact", "isn't", "it")),
        ("Die STRASSE, die Straße", ("die", "strasse", "die", "strasse")),
        ("3.5 km_per_h", ("3", "5", "km", "per", "h")),
        ("मैं घर जाता हूँ", ("मैं", "घर", "जाता", "हूँ")),
        ("我爱你。 カナ", ("我", "爱", "你", "カ", "ナ")),
        ("cafe\u0301 = CAF\u00c9", ("caf\u00e9", "caf\u00e9")),
        ("'quoted' - \U0001f600 ...", ("quoted",)),
        ("", ()),
    ],
)
def test_words_follow_the_stated_rule(text: str, expected: tuple[str, ...]) -> None:
    assert words(text) == expected


def test_distinct_counts_ngrams_over_words_and_does_not_cross_turns() -> None:
    # Six words; pairs ab ba ab | cd: three kinds.
    texts = [list("abab"), list("cd")]
    assert distinct(texts, 1) == pytest.approx(4 / 6)
    assert distinct(texts, 2) == pytest.approx(3 / 6)
    assert distinct(texts, 3) == pytest.approx(2 / 6)
    assert distinct([["a"]], 2) is None
    assert distinct([], 1) is None


def test_type_token_ratio_is_the_mean_over_turns_with_words() -> None:
    assert type_token_ratio([list("abab"), [], list("cd")]) == pytest.approx(0.75)
    assert type_token_ratio([[]]) is None


def test_mtld_by_hand() -> None:
    # Forwards a b a (2/3), a a (1/2), and b, which falls no part of the way: two factors.
    # Backwards b a a (2/3), a b a (2/3): two as well.
    assert mtld(list("abaaab")) == pytest.approx((6 / 2 + 6 / 2) / 2)
    # One repeat among five: 4/5, in part 0.2/0.28 of a factor, both ways.
    assert mtld(list("abcda")) == pytest.approx(5 / (0.2 / 0.28))


def test_mtld_equals_the_published_figure_of_a_library() -> None:
    assert len(PUBLISHED.split()) == 57
    assert mtld(PUBLISHED.split()) == pytest.approx(PUBLISHED_MTLD, rel=1e-12)


def test_mtld_of_words_that_never_repeat_is_undefined() -> None:
    assert mtld(list("abcdef")) is None
    assert mtld([]) is None


def test_self_bleu_by_hand() -> None:
    # a b c d against a b c e: 3/4 of words, 2/3 of pairs, 1/2 of triples, no four: 0.1 / 1.
    found = self_bleu([list("abcd"), list("abce")])
    assert found == pytest.approx([(0.75 * 2 / 3 * 0.5 * 0.1) ** 0.25] * 2)


def test_self_bleu_of_copies_is_one_and_of_strangers_zero() -> None:
    assert self_bleu([list("abcde")] * 3) == pytest.approx([1, 1, 1])
    assert self_bleu([list("abcd"), list("efgh")]) == [0, 0]


def test_self_bleu_needs_words_on_both_sides() -> None:
    assert self_bleu([list("abcd")]) == [None]
    assert self_bleu([list("abcd"), []]) == [None, None]


def test_self_bleu_equals_nltk() -> None:
    draw = random.Random(7)
    smoothing = SmoothingFunction().method1
    for _ in range(40):
        texts = [draw.choices("abcdefgh", k=draw.randint(1, 25)) for _ in range(draw.randint(2, 6))]
        expected = [
            sentence_bleu(texts[:i] + texts[i + 1 :], text, smoothing_function=smoothing)
            for i, text in enumerate(texts)
        ]
        assert self_bleu(texts) == pytest.approx(expected)

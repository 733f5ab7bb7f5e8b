"""Counts, compression, languages and near tokens, against slow definitions."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.inspection.compression import compression, num_shared, text_size, vocabulary_facts
from core.inspection.languages import fertility_by_language, load_languages
from core.inspection.nearest import nearest_tokens
from core.inspection.usage import never_used, token_counts
from core.inspection.visible import quoted, visible
from core.tokenizer import SPLIT_PATTERN, Tokenizer
from runs.errors import Corrupt, NotFound
from tests.tokenizer.builders import SENTENCES, trained

TOKENIZER = trained()
NO_MERGES = Tokenizer(())


def test_counts_are_those_of_the_encoded_texts() -> None:
    texts = [*SENTENCES, SENTENCES[0], ""]
    ids = [index for text in texts for index in TOKENIZER.encode(text)]
    counts = token_counts(TOKENIZER, texts)
    assert counts.tolist() == [ids.count(index) for index in range(TOKENIZER.vocab_size)]
    unused = never_used(TOKENIZER, counts).tolist()
    assert unused == [index for index in range(TOKENIZER.vocab_size - 9) if index not in ids]


def test_compression_divides_the_same_text_by_each_count() -> None:
    texts = ["the tokenizer \u00fc", "x"]
    size = text_size(texts)
    assert (size.num_texts, size.num_bytes, size.num_chars, size.num_words) == (2, 17, 16, 4)
    found = compression(NO_MERGES, texts, size)
    assert (found.num_tokens, found.bytes_per_token, found.single_byte_share) == (17, 1, 1)
    assert (found.chars_per_token, found.tokens_per_word) == (16 / 17, 17 / 4)
    assert found.num_unused == 256 - len(set("".join(texts).encode()))
    assert compression(TOKENIZER, texts, size).num_tokens < 17


def test_compression_of_nothing_has_no_ratios() -> None:
    found = compression(TOKENIZER, [""], text_size([""]))
    assert (found.num_tokens, found.bytes_per_token, found.tokens_per_word) == (0, None, None)
    assert found.unused_share == 1


def test_a_vocabulary_is_described_without_a_text() -> None:
    tokens = [*(bytes([value]) for value in range(256)), b" a", b"abc", b"\xc3\xa9"]
    tokenizer = Tokenizer.from_tokens(tokens, pattern=SPLIT_PATTERN)
    facts = vocabulary_facts(tokenizer)
    assert (facts.vocab_size, facts.length_max, facts.length_median) == (268, 3, 1)
    assert facts.length_counts == (0, 256, 2, 1)
    assert (facts.num_not_utf8, facts.num_with_leading_space) == (128, 1)
    assert num_shared(tokenizer, NO_MERGES) == 256


def test_the_built_in_languages_are_parallel_and_english_comes_first() -> None:
    languages = load_languages()
    assert len(languages) >= 30
    assert len({language.script for language in languages}) >= 15
    assert languages[0].code == "eng"
    assert {len(language.paragraphs) for language in languages} == {9}
    assert languages[0].paragraphs[0].startswith("All human beings are born free and equal")


def test_the_premium_is_relative_to_the_first_language() -> None:
    languages = load_languages()
    rows = fertility_by_language(NO_MERGES, languages)
    sizes = [sum(len(text.encode()) for text in entry.paragraphs) for entry in languages]
    assert [row.num_tokens for row in rows] == sizes
    assert [row.premium for row in rows] == [size / sizes[0] for size in sizes]
    assert {row.bytes_per_token for row in rows} == {1}


@pytest.mark.parametrize(
    "content",
    [
        "[[language]\n",
        "x = 1\n",
        "language = []\n",
        "language = [1]\n",
        '[[language]]\ncode = "a"\nname = "A"\nscript = "S"\n',
        '[[language]]\ncode = "a"\nname = "A"\nscript = "S"\nparagraphs = ["x", ""]\n',
        '[[language]]\ncode = "a"\nname = ""\nscript = "S"\nparagraphs = ["x"]\n',
        '[[language]]\ncode = "a"\nname = "A"\nscript = "S"\nparagraphs = ["x", "y"]\n'
        '[[language]]\ncode = "b"\nname = "B"\nscript = "S"\nparagraphs = ["x"]\n',
    ],
)
def test_a_file_without_parallel_text_is_corrupt(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(Corrupt, match="holds no parallel text"):
        load_languages(path)
    path.write_bytes(b"\xff")
    with pytest.raises(Corrupt, match="holds no parallel text"):
        load_languages(path)
    with pytest.raises(NotFound):
        load_languages(tmp_path / "missing.toml")


def edit_distance(one: bytes, other: bytes) -> int:
    @cache
    def of(left: int, right: int) -> int:
        if not left or not right:
            return left + right
        changed = of(left - 1, right - 1) + (one[left - 1] != other[right - 1])
        return min(changed, of(left - 1, right) + 1, of(left, right - 1) + 1)

    return of(len(one), len(other))


@settings(max_examples=60, deadline=None)
@given(wanted=st.lists(st.sampled_from(b" aetokn"), min_size=1, max_size=12).map(bytes))
def test_similar_tokens_are_the_nearest_by_edit_distance(wanted: bytes) -> None:
    found = nearest_tokens(TOKENIZER, wanted, limit=5)
    assert all(edit_distance(token.data, wanted) == token.distance for token in found)
    others = {token.id for token in found if token.relation != "similar"}
    every = [
        (distance, index)
        for index, token in enumerate(TOKENIZER.tokens)
        if index not in others and (distance := edit_distance(token, wanted)) <= len(wanted) // 2
    ]
    similar = [(token.distance, token.id) for token in found if token.relation == "similar"]
    assert similar == sorted(every)[:5]


def test_near_tokens_are_named_by_what_they_share() -> None:
    more = [b"the", b" the", b"The", b" THE", b"th", b"them", b"tho"]
    tokens = [*(bytes([value]) for value in range(256)), *more]
    tokenizer = Tokenizer.from_tokens(tokens, pattern=SPLIT_PATTERN)
    found = [(token.data, token.relation) for token in nearest_tokens(tokenizer, b"the")]
    assert found == [
        (b"the", "same"),
        (b" the", "other space"),
        (b"The", "other case"),
        (b" THE", "other case"),
        (b"th", "prefix"),
        (b"t", "prefix"),
        (b"them", "extension"),
        (b"tho", "similar"),
    ]
    longest = nearest_tokens(tokenizer, b"the" * 1000)
    assert [token.relation for token in longest] == ["prefix", "prefix", "prefix"]


def test_visible_text_cannot_drive_a_terminal() -> None:
    hostile = "\x1b[2J\x1b]0;x\x07\x9b31m\u202e\u2028\r\n\t\x00\u00a0 \\ \U0001f642"
    shown = visible(hostile.encode() + b"\xe4\xbd")
    assert all(char.isprintable() for char in shown)
    assert shown == (
        "\\x1b[2J\\x1b]0;x\\x07\\x9b31m\\u202e\\u2028\\r\\n\\t\\x00\\xa0 \\\\ \U0001f642\\xe4\\xbd"
    )
    assert quoted(b' "') == '" \\""'

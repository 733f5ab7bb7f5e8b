"""The tokens of a text, their trees, and why neighbours stay apart, against slow definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import _bpe
from core.inspection.apart import Reason, why_apart
from core.inspection.explained import explain_text
from core.inspection.merges import Node, Step, merge_steps, merge_tree, pieces_after, walk
from core.inspection.tail import first_unstable
from core.tokenizer import SPLIT_PATTERN, Tokenizer
from core.vocab.patterns import CL100K_PATTERN, GPT2_PATTERN, GPT4_PATTERN
from runs.errors import UsageError
from tests.tokenizer.builders import SENTENCES, TRICKY, few_letters, trained, tricky_text

TOKENIZER = trained()
# Tokens for all that a pattern might join at the end of a text.
JOINED = [b"'r", b"'re", b"'l", b"'ll", b" \n", b"\n  ", b"\n  \n", b" \n  \n", b"  b"]
BY_PATTERN = {
    pattern: Tokenizer.from_tokens([*TOKENIZER.tokens, *JOINED], pattern=pattern)
    for pattern in (SPLIT_PATTERN, GPT4_PATTERN, CL100K_PATTERN, GPT2_PATTERN)
}
BYTES = [bytes([value]) for value in range(256)]
# Lists of tokens in any order: some out of reach of all merges, some ranked before their parts.
odd_tokens = st.lists(
    st.lists(st.sampled_from(b"abc"), min_size=2, max_size=6).map(bytes), unique=True, max_size=20
).map(lambda more: Tokenizer.from_tokens([*BYTES, *more], pattern=SPLIT_PATTERN))


def naive_steps(tokenizer: Tokenizer, word: bytes) -> list[tuple[int, int, int, int]]:
    """Return the merges as (start, middle, end, rank), by looking at all neighbours every time."""
    ranks = tokenizer.mergeable_ranks
    borders = list(range(len(word) + 1))
    steps: list[tuple[int, int, int, int]] = []
    while True:
        triples = zip(borders, borders[1:], borders[2:], strict=False)
        found = [
            (ranks[word[start:end]], start, middle, end)
            for start, middle, end in triples
            if word[start:end] in ranks
        ]
        if not found:
            return steps
        rank, start, middle, end = min(found)
        steps.append((start, middle, end, rank))
        borders.remove(middle)


def plain(steps: tuple[Step, ...]) -> list[tuple[int, int, int, int]]:
    return [(step.start, step.middle, step.end, step.rank) for step in steps]


@settings(max_examples=200, deadline=None)
@given(text=tricky_text)
def test_spans_and_words_are_those_of_the_encoder_and_the_splitter(text: str) -> None:
    explained = explain_text(TOKENIZER, text)
    assert explained.ids.tolist() == TOKENIZER.encode(text)
    tokens = [explained.token(index) for index in range(explained.num_tokens)]
    assert tokens == [TOKENIZER.token_bytes(index) for index in explained.ids.tolist()]
    words = [explained.data[slice(*explained.word_span(w))] for w in range(explained.num_words)]
    assert words == [word.encode() for word in _bpe.split(text, SPLIT_PATTERN)]
    for index, word in enumerate(explained.words.tolist()):
        start, end = explained.word_span(word)
        assert start <= explained.starts[index] < explained.ends[index] <= end


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(text=tricky_text)
def test_a_token_cuts_a_character_where_it_is_not_utf8_alone(text: str) -> None:
    explained = explain_text(TOKENIZER, text)
    for index, is_cut in enumerate(explained.cuts_character.tolist()):
        assert is_cut != is_utf8(explained.token(index))
    starts, ends = explained.char_spans()
    for index, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        before, after = len(text[:start].encode()), len(text[:end].encode())
        assert before <= explained.starts[index] < before + len(text[start].encode())
        assert after - len(text[end - 1].encode()) < explained.ends[index] <= after


def test_a_text_knows_its_counts_and_which_token_holds_a_byte() -> None:
    explained = explain_text(TOKENIZER, SENTENCES[0])
    assert explained.num_distinct == len(set(TOKENIZER.encode(SENTENCES[0])))
    held = [explained.index_at(offset) for offset in range(explained.num_bytes)]
    assert (
        held == np.repeat(range(explained.num_tokens), explained.ends - explained.starts).tolist()
    )
    with pytest.raises(UsageError, match="outside the text"):
        explained.index_at(explained.num_bytes)


def test_an_empty_text_has_no_tokens() -> None:
    explained = explain_text(TOKENIZER, "")
    assert (explained.num_tokens, explained.num_words, explained.num_distinct) == (0, 0, 0)


def test_lone_surrogates_are_explained_as_they_are_encoded() -> None:
    text = "a\ud800b\ud83d\ude42"
    explained = explain_text(TOKENIZER, text)
    assert explained.text == "a\ufffdb\U0001f642"
    assert explained.ids.tolist() == TOKENIZER.encode(text)


def test_text_that_a_pattern_leaves_out_lies_between_the_tokens() -> None:
    tokenizer = Tokenizer(TOKENIZER.merges or (), pattern=r"\w+")
    explained = explain_text(tokenizer, "  the \u00fc!! tokenizer.")
    assert b"".join(map(explained.token, range(explained.num_tokens))) == b"the\xc3\xbctokenizer"
    assert [explained.word_span(word) for word in range(3)] == [(2, 5), (6, 8), (11, 20)]
    assert explained.index_at(0) is None
    last_of_first = explained.words.tolist().index(1) - 1
    assert why_apart(tokenizer, explained, last_of_first).kind == "left-out text"


@settings(max_examples=200, deadline=None)
@given(tokenizer=odd_tokens, word=few_letters)
def test_steps_are_the_merges_that_the_definition_makes(tokenizer: Tokenizer, word: bytes) -> None:
    steps = merge_steps(tokenizer, word)
    assert plain(steps) == naive_steps(tokenizer, word)
    for number, step in enumerate(steps):
        assert word[step.start : step.end] in pieces_after(word, steps[: number + 1])
        assert tokenizer.token_bytes(step.left_id) == word[step.start : step.middle]
        assert tokenizer.token_bytes(step.right_id) == word[step.middle : step.end]
    if word not in tokenizer.mergeable_ranks:
        pieces = [tokenizer.mergeable_ranks[piece] for piece in pieces_after(word, steps)]
        assert pieces == tokenizer.encode(word.decode())


@settings(max_examples=100, deadline=None)
@given(tokenizer=odd_tokens)
def test_a_tree_is_reachable_where_merging_makes_the_token(tokenizer: Tokenizer) -> None:
    for token_id in range(256, tokenizer.vocab_size - 9):
        tree = merge_tree(tokenizer, token_id)
        steps = naive_steps(tokenizer, tree.data)
        is_made = bool(steps) and steps[-1][3] == token_id
        assert tree.is_reachable == is_made
        if is_made:
            last = steps[-1]
            assert tree.left is not None and tree.right is not None
            assert tree.left.data == tree.data[: last[1]]
            assert tree.right.data == tree.data[last[1] :]
        else:
            assert tree.left is None and tree.right is None


def test_a_tree_of_merges_is_the_tree_that_the_encoder_makes() -> None:
    imported = Tokenizer.from_tokens(TOKENIZER.tokens, pattern=SPLIT_PATTERN)
    for token_id in range(TOKENIZER.vocab_size):
        assert shape(merge_tree(imported, token_id)) == shape(merge_tree(TOKENIZER, token_id))


def shape(root: Node) -> list[tuple[int, bytes, int, bool]]:
    return [(node.id, node.data, depth, node.is_special) for node, depth in walk(root)]


def test_leaves_of_a_tree_are_the_bytes_of_the_token() -> None:
    for token_id, token in enumerate(TOKENIZER.tokens):
        leaves = [node.data for node, _ in walk(merge_tree(TOKENIZER, token_id)) if not node.left]
        assert leaves == [bytes([value]) for value in token]


def test_deep_and_wide_trees_need_no_recursion() -> None:
    doublings = [(97, 97)] + [(255 + k, 255 + k) for k in range(1, 16)]
    chain = [(98, 98)] + [(256 + 16 + k, 98) for k in range(3000)]
    tokenizer = Tokenizer([*doublings, *chain])
    imported = Tokenizer.from_tokens(tokenizer.tokens, pattern=SPLIT_PATTERN)
    for wide in (merge_tree(tokenizer, 271), merge_tree(imported, 271)):
        assert len(wide.data) == 65536
        assert len({id(node) for node, _ in walk(wide, max_nodes=200)}) == 17
    deep = merge_tree(tokenizer, 256 + 16 + 3000)
    assert max(depth for _, depth in walk(deep)) == 3001
    assert len(repr(deep)) < 10_000


def test_a_special_token_is_a_tree_of_its_own() -> None:
    tree = merge_tree(TOKENIZER, TOKENIZER.bos)
    assert (tree.is_special, tree.data, tree.left) == (True, b"<|bos|>", None)
    with pytest.raises(UsageError, match="outside the vocabulary"):
        merge_tree(TOKENIZER, TOKENIZER.vocab_size)


def check_lost(tokenizer: Tokenizer, word: bytes, border: int, reason: Reason) -> None:
    """Compare what a reason says about tokens across the border with all there are."""
    ranks = tokenizer.mergeable_ranks
    across = [
        (ranks[word[start:end]], start, end)
        for start, end in itertools.combinations(range(len(word) + 1), 2)
        if start < border < end and word[start:end] in ranks
    ]
    made = [
        found
        for found in across
        if (steps := naive_steps(tokenizer, word[found[1] : found[2]]))
        and steps[-1][0] == 0
        and steps[-1][2] == found[2] - found[1]
    ]
    if not across:
        assert reason.lost is None
        return
    assert reason.lost is not None
    rank, start, end = min(made or across)
    assert (reason.lost.id, reason.lost.start, reason.lost.end) == (rank, start, end)
    if not made:
        assert reason.lost.taken_by is None
        return
    crossing = [
        step
        for step in naive_steps(tokenizer, word)
        if step[0] < start < step[2] or step[0] < end < step[2]
    ]
    assert reason.lost.taken_by is not None
    assert plain((reason.lost.taken_by,)) == crossing[:1]


@settings(max_examples=300, deadline=None)
@given(tokenizer=odd_tokens, word=few_letters)
def test_neighbours_in_a_word_are_apart_for_the_reason_that_all_merges_show(
    tokenizer: Tokenizer, word: bytes
) -> None:
    explained = explain_text(tokenizer, word.decode())
    assert explained.num_words == 1
    for index in range(explained.num_tokens - 1):
        reason = why_apart(tokenizer, explained, index)
        assert (reason.kind, reason.joined_id) == ("no such token", None)
        assert reason.joined == explained.token(index) + explained.token(index + 1)
        check_lost(tokenizer, word, int(explained.ends[index]), reason)
    assert why_apart(tokenizer, explained, explained.num_tokens - 1).kind == "end of text"


def test_a_word_border_keeps_tokens_apart_that_would_be_one() -> None:
    tokenizer = Tokenizer.from_tokens([*BYTES, b"a1"], pattern=SPLIT_PATTERN)
    explained = explain_text(tokenizer, "a1")
    reason = why_apart(tokenizer, explained, 0)
    assert (reason.kind, reason.joined, reason.joined_id) == ("word border", b"a1", 256)


def test_a_merge_that_came_first_is_named() -> None:
    tokenizer = Tokenizer.from_tokens([*BYTES, b"ab", b"bc"], pattern=SPLIT_PATTERN)
    reason = why_apart(tokenizer, explain_text(tokenizer, "abc"), 0)
    assert reason.lost is not None and reason.lost.taken_by is not None
    assert (reason.lost.data, reason.lost.id, reason.lost.taken_by.rank) == (b"bc", 257, 256)


def test_a_token_index_outside_the_text_is_refused() -> None:
    explained = explain_text(TOKENIZER, "x")
    for index in (-1, 1):
        with pytest.raises(UsageError, match="there is no token"):
            why_apart(TOKENIZER, explained, index)


@pytest.mark.parametrize("pattern", list(BY_PATTERN))
@settings(max_examples=200, deadline=None)
@given(text=tricky_text, more=st.sampled_from(TRICKY))
@example(text="it'r", more="e")
@example(text="!'l", more="l")
@example(text="a \n  ", more="\n")
@example(text="a   ", more="b")
def test_no_next_character_changes_a_token_before_the_first_unstable_one(
    pattern: str, text: str, more: str
) -> None:
    tokenizer = BY_PATTERN[pattern]
    explained = explain_text(tokenizer, text)
    first = first_unstable(tokenizer, explained)
    assert first is not None
    longer = tokenizer.encode(text + more[0])
    assert longer[:first] == explained.ids[:first].tolist()
    assert first < explained.num_tokens or not text


def test_the_last_word_of_a_text_is_unstable() -> None:
    explained = explain_text(TOKENIZER, "the tok  \n  ")
    assert explained.token(first_unstable(TOKENIZER, explained) or 0).isspace()
    explained = explain_text(TOKENIZER, "the words again")
    assert explained.words[first_unstable(TOKENIZER, explained)] == 2
    other = Tokenizer((), pattern=r"\w+|\W")
    assert first_unstable(other, explain_text(other, "x")) is None

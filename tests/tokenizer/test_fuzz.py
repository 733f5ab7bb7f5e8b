"""Random texts, vocabularies and patterns against tiktoken, rustbpe and the oracle, for a while.

The default suite fuzzes for 6 s; `LABCLI_FUZZ_S=600 pytest -m soak tests/tokenizer/test_fuzz.py`
for as long as one likes, each time from a new seed, which a failure names.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module

import pytest
import tiktoken

from core import _bpe, bpe
from core.tokenizer import Tokenizer
from core.vocab.patterns import PATTERNS

DEFAULT_S = 6.0
SOAK_S = float(os.environ.get("LABCLI_FUZZ_S", "600"))
# Where splitters go wrong: long s, NEL, ideographic space, numbers that are no digits, marks,
# characters of two, three and four bytes, and words that are cut in several ways.
ALPHABET = (
    *"aZe sStTdDmMlLrRvV'\u017f019 \t\r\n.,-_#",
    "'ll", "'RE", "'\u017f", "\r\n", "  ", "\n\n", "\x00", "\x85", "\xa0", "\u3000", "\u2028",
    "\xe9", "\u00df", "\u0301", "\u0660", "\u2167", "\xbd", "\u5b57", "\u0939\u093f", "\ud55c",
    "\U0001f642", "\U0001f469\u200d\U0001f680", "\U00020000", "\ufffd", "<|bos|>", "the ", " ing",
)  # fmt: skip


def random_text(dice: random.Random, most: int) -> str:
    few = dice.choices(ALPHABET, k=dice.randint(1, len(ALPHABET)))
    return "".join(dice.choices(few, k=dice.randint(0, most)))


def check_training(dice: random.Random) -> None:
    """Merges equal those of the definition, and those of rustbpe where the words are its too."""
    pattern = dice.choice(list(PATTERNS.values()))
    texts = [random_text(dice, 60) for _ in range(dice.randint(1, 12))]
    num_merges = dice.randint(0, 60)
    merges = _bpe.train(texts, num_merges, pattern)
    words = Counter(word.encode() for text in texts for word in _bpe.split(text, pattern))
    assert merges == bpe.train_words(words, num_merges)
    theirs = import_module("rustbpe").Tokenizer()
    theirs.train_from_iterator(iter(texts), 256 + num_merges, pattern=pattern)
    ranks = sorted((rank, bytes(token)) for token, rank in theirs.get_mergeable_ranks())
    assert list(Tokenizer(merges).tokens) == [token for _, token in ranks]


def check_encoding(dice: random.Random) -> None:
    """Ids equal tiktoken's, whatever the vocabulary, alone and in a batch."""
    pattern = dice.choice(list(PATTERNS.values()))
    tokens = random_tokens(dice, pattern)
    encoder = _bpe.Encoder(tokens, pattern)
    oracle = tiktoken.Encoding(
        "fuzz",
        pat_str=pattern,
        mergeable_ranks={token: rank for rank, token in enumerate(tokens)},
        special_tokens={},
    )
    texts = [random_text(dice, 200) for _ in range(dice.randint(1, 20))]
    expected = [oracle.encode_ordinary(text) for text in texts]
    assert [encoder.encode(text).tolist() for text in texts] == expected
    ids, offsets = encoder.encode_batch(texts, num_threads=2)
    found = [ids[start:end].tolist() for start, end in itertools.pairwise(offsets)]
    assert found == expected


def random_tokens(dice: random.Random, pattern: str) -> list[bytes]:
    """Return a vocabulary: trained, or with bytes in any order and tokens out of reach."""
    text = [random_text(dice, 300)]
    tokens = list(Tokenizer(_bpe.train(text, dice.randint(0, 200), pattern)).tokens)
    if dice.random() < 0.5:
        longer = [word.encode() for word in _bpe.split(text[0], pattern) if len(word) > 1]
        tokens = list(dict.fromkeys([*tokens, *dice.sample(longer, len(longer) // 2)]))
        dice.shuffle(tokens)
    return tokens


def fuzz(check: Callable[[random.Random], None], duration_s: float) -> int:
    first = random.SystemRandom().randrange(2**40)
    deadline = time.monotonic() + duration_s
    seed = first
    while time.monotonic() < deadline:
        try:
            check(random.Random(seed))
        except Exception as error:
            raise AssertionError(f"{check.__name__} failed with seed {seed}: {error}") from error
        seed += 1
    return seed - first


@pytest.mark.parametrize("check", [check_training, check_encoding])
def test_a_short_fuzz_finds_no_mismatch(check: Callable[[random.Random], None]) -> None:
    assert fuzz(check, DEFAULT_S / 2) > 0


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S + 60)
@pytest.mark.parametrize("check", [check_training, check_encoding])
def test_a_long_fuzz_finds_no_mismatch(check: Callable[[random.Random], None]) -> None:
    num_cases = fuzz(check, SOAK_S / 2)
    print(f"{check.__name__}: {num_cases} cases")  # noqa: T201
    assert num_cases > 0

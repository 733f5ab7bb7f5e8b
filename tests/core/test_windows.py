"""Windows over whole documents: every token predicted once, whatever the row length."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.tokens import TokenSplit, ragged
from core.data.windows import LENGTH_STEP, count_documents, window_batches
from core.loss import IGNORED

LENGTHS = st.lists(st.integers(1, 90), min_size=1, max_size=30)


def split_of(lengths: list[int]) -> TokenSplit:
    """Return documents whose tokens are all different."""
    starts = np.cumsum([0, *lengths])
    return ragged((list(range(a, b)), [1] * (b - a)) for a, b in pairwise(starts.tolist()))


@settings(max_examples=40, deadline=None)
@given(
    lengths=LENGTHS, row_len=st.integers(2, 33) | st.integers(65, 80), batch_size=st.integers(1, 8)
)
def test_every_token_but_the_first_of_a_document_is_a_target_once(
    lengths: list[int], row_len: int, batch_size: int
) -> None:
    split = split_of(lengths)
    seen: Counter[int] = Counter()
    for ids, targets in window_batches(
        split, num_documents=len(lengths), row_len=row_len, pad=0, batch_size=batch_size
    ):
        assert ids.shape == targets.shape
        assert ids.size <= batch_size * row_len
        assert ids.shape[1] % LENGTH_STEP == 0 or ids.shape[1] == row_len
        assert (ids[targets != IGNORED] + 1 == targets[targets != IGNORED]).all()
        seen.update(targets[targets != IGNORED].tolist())
    firsts = set(split.offsets[:-1].tolist())
    assert seen == Counter(set(range(split.num_tokens)) - firsts)


def test_a_later_window_starts_with_half_a_row_of_context() -> None:
    batches = window_batches(split_of([14]), num_documents=1, row_len=8, pad=0, batch_size=1)
    told = [(ids[0].tolist(), targets[0].tolist()) for ids, targets in batches]
    assert told == [
        ([*range(8, 13), 0, 0, 0], [*[IGNORED] * 4, 13, *[IGNORED] * 3]),
        (list(range(8)), list(range(1, 9))),
        (list(range(4, 12)), [*[IGNORED] * 4, *range(9, 13)]),
    ]


def test_documents_of_many_lengths_make_batches_of_few_shapes() -> None:
    lengths = np.random.default_rng(0).integers(20, 900, 120).tolist()
    batches = window_batches(split_of(lengths), num_documents=120, row_len=512, pad=0, batch_size=8)
    assert len({ids.shape for ids, _ in batches}) <= 2 * 512 // LENGTH_STEP


def test_documents_are_counted_by_their_bytes_alone() -> None:
    split = split_of([4, 4, 4])
    coarse = np.full(12, 2)
    fine = np.full(12, 1)
    assert count_documents(split, coarse, 9) == 2
    assert count_documents(split, fine, 9) == 3
    assert count_documents(split, fine, 1_000) == 3

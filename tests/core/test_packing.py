"""Packing: nothing lost, nothing twice, the same rows whatever the number of ranks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.mixtures import MixedRows
from core.data.packing import PackedRows, Rows, validation_batches
from core.data.row_plans import plan_epoch, plan_rows, share_dropped
from core.data.tokens import TokenSplit, ragged
from core.loss import IGNORED
from runs.errors import UsageError

LENGTHS = st.lists(st.integers(1, 90), min_size=1, max_size=200)


def split_of(lengths: list[int]) -> TokenSplit:
    return ragged(([i + 1] * length, [1] * length) for i, length in enumerate(lengths))


@settings(max_examples=40, deadline=None)
@given(lengths=LENGTHS, epoch=st.integers(0, 3))
def test_padded_rows_hold_every_document_once(lengths: list[int], epoch: int) -> None:
    plan = plan_epoch(np.array(lengths), 33, seed=1, epoch=epoch, crop=False)
    assert Counter(plan.piece_docs.tolist()) == Counter(range(len(lengths)))
    assert plan.piece_lengths.tolist() == [min(lengths[d], 33) for d in plan.piece_docs]
    sizes = np.add.reduceat(plan.piece_lengths, plan.row_starts[:-1])
    assert sizes.max() <= 33


@settings(max_examples=40, deadline=None)
@given(lengths=LENGTHS)
def test_cropped_rows_are_full_and_use_each_document_at_most_once(lengths: list[int]) -> None:
    plan = plan_epoch(np.array(lengths), 33, seed=1, epoch=0, crop=True)
    used = plan.piece_docs[: plan.row_starts[-1]]
    assert max(Counter(used.tolist()).values(), default=1) == 1
    for row in range(plan.num_rows):
        pieces = plan.piece_lengths[plan.row_starts[row] : plan.row_starts[row + 1]]
        assert pieces.sum() == 33


def test_no_document_is_lost_between_the_buffer_and_those_that_wait() -> None:
    plan = plan_epoch(np.full(2500, 7), 16, seed=0, epoch=0, crop=False)
    assert Counter(plan.piece_docs.tolist()) == Counter(range(2500))


def naive_rows(lengths: list[int], capacity: int, seed: int, *, crop: bool) -> list[list[int]]:
    """Return the rows that the rule gives when every buffered document is looked at each time."""
    order = np.random.default_rng((seed, 0)).permutation(len(lengths)).tolist()
    size = {doc: min(lengths[doc], capacity) for doc in order}
    buffered, waiting = order[:1000], order[1000:]
    rows: list[list[int]] = []
    while buffered:
        row: list[int] = []
        remaining = capacity
        while remaining and buffered:
            fitting = [doc for doc in buffered if size[doc] <= remaining]
            if not fitting and not crop:
                break
            pick = max if fitting else min
            doc = pick(fitting or buffered, key=lambda doc: (size[doc], doc))
            buffered.remove(doc)
            row.append(doc)
            remaining -= min(size[doc], remaining)
            if waiting:
                buffered.append(waiting.pop(0))
        if remaining and crop:
            break
        rows.append(row)
    return rows


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=60),
    repeats=st.sampled_from([1, 1, 1, 25]),
    crop=st.booleans(),
)
def test_rows_are_those_of_a_plain_linear_scan(
    lengths: list[int], repeats: int, crop: bool
) -> None:
    many = lengths * repeats
    plan = plan_epoch(np.array(many), 33, seed=3, epoch=0, crop=crop)
    ends = zip(plan.row_starts, plan.row_starts[1:], strict=False)
    found = [plan.piece_docs[start:end].tolist() for start, end in ends]
    assert found == naive_rows(many, 33, 3, crop=crop)


def test_longest_fitting_document_is_taken_first() -> None:
    plan = plan_epoch(np.array([5, 20, 9, 28]), 33, seed=0, epoch=0, crop=False)
    rows = [
        sorted(plan.piece_docs[a:b].tolist())
        for a, b in zip(plan.row_starts, plan.row_starts[1:], strict=False)
    ]
    assert rows == [[0, 3], [1, 2]]


def test_epochs_differ_and_repeat_exactly() -> None:
    lengths = np.full(2000, 20)
    one = plan_epoch(lengths, 64, seed=1, epoch=0, crop=True)
    again = plan_epoch(lengths, 64, seed=1, epoch=0, crop=True)
    other = plan_epoch(lengths, 64, seed=1, epoch=1, crop=True)
    assert np.array_equal(one.piece_docs, again.piece_docs)
    assert not np.array_equal(one.piece_docs, other.piece_docs)


@settings(max_examples=40, deadline=None)
@given(lengths=LENGTHS, epoch=st.integers(0, 3))
def test_flat_rows_hold_every_token_in_its_place(lengths: list[int], epoch: int) -> None:
    lengths = [*lengths, 80]
    plan = plan_rows(np.array(lengths), 32, seed=1, epoch=epoch, crop=True, packing="flat")
    order = np.random.default_rng((1, epoch)).permutation(len(lengths)).tolist()
    stream = [(doc, token) for doc in order for token in range(lengths[doc])]
    assert plan.num_rows == (len(stream) - 1) // 32
    for row in range(plan.num_rows):
        found = [
            (doc, start + token)
            for doc, start, length in plan.pieces(row)
            for token in range(length)
        ]
        assert found == stream[row * 32 : row * 32 + 33]


def test_flat_rows_of_two_ranks_are_those_of_one_and_go_on_into_the_next_epoch() -> None:
    split = split_of([7, 120, 30, 4, 18, 250, 9, 31] * 4)
    rows = PackedRows(split, row_len=32, pad=0, seed=5, crop=True, packing="flat")
    per_epoch = rows.epoch(0).num_rows
    assert rows.epoch_of(per_epoch - 1) == 0 and rows.epoch_of(per_epoch) == 1
    whole, targets = rows.batch(per_epoch - 4, 8)
    first, _ = rows.batch(per_epoch - 4, 4, stride=2)
    second, _ = rows.batch(per_epoch - 3, 4, stride=2)
    assert np.array_equal(whole, np.stack([first, second], axis=1).reshape(8, 32))
    assert np.array_equal(whole[:4, 1:], targets[:4, :-1])
    assert not np.array_equal(whole[4], rows.row(0)[0])
    text = TokenSplit(arrays=split.arrays, offsets=split.offsets)
    flat = PackedRows(text, row_len=32, pad=0, seed=5, crop=True, packing="flat")
    assert flat.count_targets(3, 5) == Rows.count_targets(flat, 3, 5) == 5 * 32


def test_share_that_best_fit_drops_is_that_of_its_rows() -> None:
    assert share_dropped(np.full(100, 33), 32, seed=0) == 0
    assert share_dropped(np.full(100, 66), 32, seed=0) == pytest.approx(0.5)
    assert share_dropped(np.zeros(0, dtype=np.int64), 32, seed=0) == 0


def test_masked_tokens_and_padding_are_not_targets() -> None:
    split = ragged([([1, 2, 3, 4], [0, 0, 1, 1])])
    ids, targets = PackedRows(split, row_len=8, pad=9, seed=0, crop=False).row(0)
    assert ids.tolist() == [1, 2, 3, 4, 9, 9, 9, 9]
    assert targets.tolist() == [IGNORED, 3, 4, *[IGNORED] * 5]


def test_two_ranks_read_together_what_one_rank_reads() -> None:
    split = split_of([7, 12, 30, 4, 18, 25, 9, 31, 16, 20, 11, 8] * 4)
    rows = PackedRows(split, row_len=32, pad=0, seed=5, crop=True)
    whole, _ = rows.batch(0, 4)
    first, _ = rows.batch(0, 2, stride=2)
    second, _ = rows.batch(1, 2, stride=2)
    assert np.array_equal(whole, np.stack([first[0], second[0], first[1], second[1]]))


def test_rows_go_on_into_the_next_epoch() -> None:
    rows = PackedRows(split_of([20, 20, 20, 20]), row_len=16, pad=0, seed=0, crop=True)
    per_epoch = rows.epoch(0).num_rows
    assert rows.epoch_of(per_epoch - 1) == 0
    assert rows.epoch_of(per_epoch) == 1


def test_validation_rows_are_the_same_every_time() -> None:
    split = split_of([30] * 40)
    settings_ = {"row_len": 16, "pad": 0, "num_tokens": 100, "batch_size": 4}
    one = [ids for ids, _ in validation_batches(split, **settings_)]
    two = [ids for ids, _ in validation_batches(split, **settings_)]
    assert sum(len(batch) for batch in one) == 6
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_too_little_text_for_one_row_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="do not fill one row"):
        PackedRows(split_of([3, 4]), row_len=64, pad=0, seed=0, crop=True)


def test_mixed_rows_take_every_nth_row_from_the_other_source() -> None:
    main = PackedRows(split_of([17] * 12), row_len=16, pad=0, seed=0, crop=True)
    other = PackedRows(
        ragged(([99] * 17, [1] * 17) for _ in range(4)), row_len=16, pad=0, seed=0, crop=True
    )
    mixed = MixedRows(main, other, every=3)
    rows = [mixed.row(index)[0] for index in range(9)]
    assert [int(row[0]) == 99 for row in rows] == [False, False, True] * 3
    kept = [row for row in rows if row[0] != 99]
    assert all(np.array_equal(row, main.row(i)[0]) for i, row in enumerate(kept))
    assert mixed.epoch_of(17) == 0
    assert mixed.epoch_of(18) == 1

"""Steps over buffers that stay: what a CUDA graph replays, run launch by launch on a CPU."""

from __future__ import annotations

import pytest
import torch

from core.engine.decoder import CachedDecoder, Place
from core.engine.static_step import MAX_GRAPHS, StaticSteps
from core.engine.weights import prepare
from tests.engine.builders import random_model, tiny_config
from tests.engine.test_engine import prompt

CUDA = "requires a CUDA device"


def decoder_pair(device: str, *, is_row_exact: bool = False) -> tuple[CachedDecoder, CachedDecoder]:
    model = random_model(tiny_config()).to(device)
    static, plain = (
        CachedDecoder(
            prepare(model, "float32"), num_rows=4, is_native=False, is_static=is_static,
            is_row_exact=is_row_exact,
        )
        for is_static in (True, False)
    )  # fmt: skip
    return static, plain


def assert_equal_steps(static: CachedDecoder, plain: CachedDecoder, tolerance: float) -> None:
    """Decode 12 steps in changing shapes, over a border of what is in sight and of the cache."""
    rows = [prompt(60, 1), prompt(122, 2), prompt(250, 3)]
    for row, ids in enumerate(rows):
        for decoder in (static, plain):
            decoder.prefill(row, ids, 0, is_last=True)
    for step in range(12):
        num = 2 if step % 4 == 3 else 3
        places: list[Place | None] = []
        for ids in rows[:num]:
            ids.append(7 * step % 256)
            places.append(Place(id=ids[-1], before_id=ids[-2], position=len(ids) - 1))
        places += [None] * (num == 3)
        ours_BV = static.decode(0, places)[:num].clone()
        torch.testing.assert_close(
            ours_BV, plain.decode(0, places)[:num], rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("is_row_exact", [False, True])
def test_a_static_step_gives_the_logits_of_a_fresh_one(is_row_exact: bool) -> None:
    assert_equal_steps(*decoder_pair("cpu", is_row_exact=is_row_exact), 0.0)


def test_a_static_step_reads_new_numbers_from_the_same_buffer() -> None:
    steps = StaticSteps(torch.device("cpu"))
    seen: list[int] = []

    def step(numbers_4B: torch.Tensor) -> torch.Tensor:
        seen.append(numbers_4B.data_ptr())
        return numbers_4B.sum(dim=0).clone()

    first = steps.run((2,), step, [[1, 2], [3, 4], [5, 6], [7, 8]])
    second = steps.run((2,), step, [[1, 1], [1, 1], [1, 1], [1, 2]])

    assert (first.tolist(), second.tolist()) == ([16, 20], [4, 5])
    assert seen[0] == seen[1]


def test_old_shapes_make_room_for_new_ones() -> None:
    steps = StaticSteps(torch.device("cpu"))
    for number in range(MAX_GRAPHS + 1):
        steps.run((number,), lambda numbers_4B: numbers_4B[0], [[number]] * 4)
    late = steps.run((0,), lambda numbers_4B: numbers_4B[0] + 100, [[5]] * 4)

    assert late.tolist() == [105]


@pytest.mark.skipif(not torch.cuda.is_available(), reason=CUDA)
@pytest.mark.parametrize("is_row_exact", [False, True])
def test_a_replayed_graph_gives_the_logits_of_an_eager_step(is_row_exact: bool) -> None:
    assert_equal_steps(*decoder_pair("cuda", is_row_exact=is_row_exact), 1e-4)

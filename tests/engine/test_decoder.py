"""The lean forward pass against the model: every type of weights, the cache, and its rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from core.config import ModelConfig
from core.engine.decoder import CachedDecoder, Place
from core.engine.int8 import Int8Matrix
from core.engine.plain import PlainEngine
from core.engine.screen import Screen
from core.engine.weights import WeightType, prepare
from core.model import GPT
from tests.engine.builders import random_model, tiny_config
from tests.engine.test_engine import FEATURES, naive_greedy, prompt

# Largest difference of any logit, in standard deviations of the logits.
TOLERANCE: dict[WeightType, float] = {"float32": 1e-5, "bfloat16": 0.06, "int8": 0.06}


def capped(raw: Tensor, config: ModelConfig) -> Tensor:
    return config.softcap * torch.tanh(raw.float() / config.softcap)


@torch.inference_mode()
def off(model: GPT, ids: list[int], raw_V: Tensor) -> float:
    expected_V = model(torch.tensor([ids]))[0, -1]
    difference = (capped(raw_V, model.config) - expected_V).abs().max()
    return float(difference / expected_V.std())


@pytest.mark.parametrize("kind", TOLERANCE)
@pytest.mark.parametrize("how", ["compiled", "eager", "eager row by row"])
@pytest.mark.parametrize("name", FEATURES)
def test_logits_are_the_models_own_within_the_types_tolerance(
    name: str, kind: WeightType, how: str
) -> None:
    model = random_model(FEATURES[name])
    decoder = CachedDecoder(
        prepare(model, kind),
        num_rows=4,
        is_row_exact=how == "eager row by row",
        is_native=how == "compiled",
    )
    rows = {0: prompt(170, 1), 1: prompt(5, 2), 3: prompt(126, 3)}

    assert decoder.prefill(0, rows[0][:100], 0, is_last=False) is None
    for row, ids in rows.items():
        raw_1V = decoder.prefill(row, ids, 100 if row == 0 else 0, is_last=True)
        assert raw_1V is not None
        assert off(model, ids, raw_1V[0]) < TOLERANCE[kind]
    for step in range(5):
        places: list[Place | None] = [None] * 4
        for row, ids in rows.items():
            ids.append((7 * step + len(ids)) % 256)
            places[row] = Place(id=ids[-1], before_id=ids[-2], position=len(ids) - 1)
        raw_BV = decoder.decode(0, places)
        for row, ids in rows.items():
            assert off(model, ids, raw_BV[row]) < TOLERANCE[kind]


def test_the_cache_grows_past_its_first_slots_and_rows_can_be_copied() -> None:
    model = random_model(tiny_config(sequence_len=128))
    decoder = CachedDecoder(prepare(model), num_rows=2)
    ids = prompt(250, 1)
    decoder.prefill(0, ids, 0, is_last=True)

    for extra in range(12):
        ids.append(extra)
        place = Place(id=extra, before_id=ids[-2], position=len(ids) - 1)
        raw_BV = decoder.decode(0, [place])
    assert off(model, ids, raw_BV[0]) < 1e-5

    decoder.copy_row(0, 1, len(ids))
    ids.append(5)
    place = Place(id=5, before_id=ids[-2], position=len(ids) - 1)
    assert off(model, ids, decoder.decode(1, [place])[0]) < 1e-5


def test_a_bfloat16_model_decodes_in_its_own_type() -> None:
    model = random_model(tiny_config())
    model.dtype = torch.bfloat16
    ids = prompt(40)
    weights = prepare(model)

    raw_1V = CachedDecoder(weights, num_rows=1).prefill(0, ids, 0, is_last=True)

    assert weights.dtype == torch.bfloat16
    assert raw_1V is not None
    assert off(model, ids, raw_1V[0]) < 0.15


def test_int8_products_of_a_row_depend_on_no_other_row_and_no_shape() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = Int8Matrix(torch.randn(300, 64, generator=generator))
    x_BC = torch.randn(9, 64, generator=generator) * torch.logspace(-3, 3, 9)[:, None]

    together = matrix(x_BC)

    for row in range(9):
        assert torch.equal(matrix(x_BC[row : row + 1]), together[row : row + 1])
    assert torch.equal(matrix(torch.zeros(1, 64)), torch.zeros(1, 300))


@pytest.mark.parametrize("name", FEATURES)
def test_the_plain_engine_writes_what_full_forward_passes_pick(name: str) -> None:
    model = random_model(FEATURES[name])
    prompts = [prompt(140, 1), prompt(140, 2)]

    written = list(zip(*PlainEngine(model).stream(prompts, 8), strict=True))

    for ids, row in zip(prompts, written, strict=True):
        naive = naive_greedy(model, ids, 8)
        assert list(row[: len(naive)]) == naive


def test_padding_rows_and_prepared_weights_leave_the_model_alone() -> None:
    model = random_model(replace(tiny_config(), num_kv_heads=1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    decoder = CachedDecoder(prepare(model), num_rows=4)
    ids = prompt(30)
    decoder.prefill(2, ids, 0, is_last=True)
    ids.append(9)

    place = Place(id=9, before_id=ids[-2], position=len(ids) - 1)
    raw_BV = decoder.decode(0, [None, None, place, None])

    assert off(model, ids, raw_BV[2]) < 1e-5
    assert bool(torch.isfinite(raw_BV).all())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_screened_head_finds_the_likeliest_token_of_the_full_one() -> None:
    generator = torch.Generator().manual_seed(0)
    weight_VC = torch.randn(5000, 64, generator=generator)
    weight_VC[100:120] *= 3
    screen, out = Screen(weight_VC, 2.0), torch.empty(50, 5000)
    num_screened = 0
    for _ in range(20):
        x_BC = F.normalize(torch.randn(50, 64, generator=generator), dim=-1)
        for row in range(0, 50, 5):
            if screen(x_BC[row : row + 5], out[:5]):
                num_screened += 1
                full_BV = 2 * x_BC[row : row + 5] @ weight_VC.T
                assert torch.equal(out[:5].argmax(-1), full_BV.argmax(-1))
    assert num_screened > 0
    # Nearly equal tokens are not screened: the caller multiplies in full.
    assert not screen(torch.zeros(1, 64), out[:1])

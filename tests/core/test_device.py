"""Which device and compute type are taken, and what is said where one cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from core import hardware
from core.device import (
    best_training_dtype,
    exact_dtype,
    inference_dtype,
    peak_flops,
    pick_device,
    set_up_device,
    training_dtype,
)
from core.hardware_table import Card, shipped_table
from runs.errors import UsageError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("card", "capability", "dtype"),
    [
        ("H100", (9, 0), torch.bfloat16),
        ("GB10", (12, 1), torch.bfloat16),
        ("A100", (8, 0), torch.bfloat16),
        ("RTX 3090", (8, 6), torch.bfloat16),
        ("T4", (7, 5), torch.float16),
        ("V100", (7, 0), torch.float16),
        ("P100", (6, 0), torch.float32),
    ],
)
def test_a_card_trains_in_the_type_that_its_tensor_cores_have(
    card: str, capability: tuple[int, int], dtype: torch.dtype
) -> None:
    assert best_training_dtype("cuda", capability=capability) == dtype, card


def test_a_cpu_trains_in_bfloat16_only_where_it_multiplies_it() -> None:
    assert best_training_dtype("cpu", has_cpu_bf16=True) == torch.bfloat16
    assert best_training_dtype("cpu", has_cpu_bf16=False) == torch.float32
    assert training_dtype("auto", CPU) == best_training_dtype(
        "cpu", has_cpu_bf16=hardware.has_cpu_bf16()
    )


def test_an_apple_gpu_trains_in_float32_whatever_its_cpu_can() -> None:
    assert best_training_dtype("mps", has_cpu_bf16=True) == torch.float32


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_a_type_that_is_named_is_taken(name: str) -> None:
    assert training_dtype(name, CPU) == getattr(torch, name) == inference_dtype(name, CPU)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "'gpu' is no device; name cpu, cuda, cuda:N or mps"),
        ("xpu", "'xpu' is no device"),
        ("cuda:99", "device 'cuda:99' is not available"),
    ],
)
def test_a_device_that_is_not_there_is_named(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pick_device(name)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is an Apple GPU here")
def test_without_an_apple_gpu_mps_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match=r"'mps' is not available: torch .* sees no Apple GPU"):
        pick_device("mps")


def test_long_sums_are_in_float64_but_not_on_apple_gpus_which_have_none() -> None:
    assert exact_dtype(CPU) == torch.float64
    assert exact_dtype(torch.device("mps")) == torch.float32


def test_mfu_is_against_a_card_that_the_user_has_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cpu_name", lambda: "Apple M9 Max")
    mps, table = torch.device("mps"), shipped_table()
    assert peak_flops(mps, torch.float32, table) is None
    mine = replace(table, cards={**table.cards, "Apple M9 Max": Card(bf16_flops=5e13)})
    assert peak_flops(mps, torch.float32, mine) == 5e13


@pytest.mark.parametrize(
    ("name", "made_current"), [("cuda:1", ["cuda:1"]), ("cuda", []), ("cpu", [])]
)
def test_the_gpu_of_a_rank_becomes_the_one_whose_streams_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, name: str, made_current: list[str]
) -> None:
    told: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: told.append(str(device)))
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda precision: None)
    set_up_device(torch.device(name))
    assert told == made_current

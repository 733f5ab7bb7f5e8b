"""The table of hardware, what a user adds to it, and what a machine is taken for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.hardware import MAC_GPU_SHARE, Gpu, Hardware, apple_gpus
from core.hardware_table import GIB, shipped_table
from runs.errors import UsageError


def machine(*names: str, memory_gib: float = 80, **changes: Any) -> Hardware:
    values: dict[str, Any] = {
        "cpu": "test", "num_cpus": 2, "memory_bytes": 16 * GIB, "has_cpu_bf16": True,
        "has_compiler": True,
        "gpus": tuple(Gpu(name=name, memory_bytes=int(memory_gib * GIB)) for name in names),
    }  # fmt: skip
    return Hardware(**{**values, **changes})


@pytest.mark.parametrize(
    ("name", "flops", "bandwidth"),
    [
        ("NVIDIA GB200", 2.5e15, 8.0e12),
        ("NVIDIA B200", 2.25e15, 8.0e12),
        ("NVIDIA B100", 1.8e15, 8.0e12),
        ("NVIDIA H200", 989e12, 4.8e12),
        ("NVIDIA H200 NVL", 836e12, 4.8e12),
        ("NVIDIA H200 PCIe", 836e12, 4.8e12),
        ("NVIDIA H100 80GB HBM3", 989e12, 3.35e12),
        ("NVIDIA H100 NVL", 835e12, 3.9e12),
        ("NVIDIA H100 PCIe", 756e12, 2.0e12),
        ("NVIDIA H800", 756e12, 3.35e12),
        ("NVIDIA H800 NVL", 989e12, 3.35e12),
        ("NVIDIA A100-SXM4-80GB", 312e12, 2.0e12),
        ("NVIDIA A800 80GB PCIe", 312e12, 2.0e12),
        ("NVIDIA A40", 149.7e12, 696e9),
        ("NVIDIA A30", 165e12, 933e9),
        ("NVIDIA L40S", 362e12, 864e9),
        ("NVIDIA L4", 121e12, 300e9),
        ("AMD Instinct MI355X", 2.5e15, 8.0e12),
        ("AMD Instinct MI325X", 1.3074e15, 6.0e12),
        ("AMD Instinct MI300X", 1.3074e15, 5.3e12),
        ("AMD Instinct MI300A", 980.6e12, 5.3e12),
        ("AMD Instinct MI250X", 383e12, 3.28e12),
        ("AMD Instinct MI250", 362.1e12, 3.28e12),
        ("NVIDIA GeForce RTX 5090", 209.5e12, 1.79e12),
        ("NVIDIA GeForce RTX 4090", 165.2e12, 1.01e12),
        ("NVIDIA GeForce RTX 3090", 71e12, 936e9),
    ],
)
def test_cards_have_the_peaks_of_nanochats_table(name: str, flops: float, bandwidth: float) -> None:
    card = shipped_table().find(name)
    assert card is not None
    assert (card.bf16_flops, card.bandwidth) == (flops, bandwidth)


@pytest.mark.parametrize(
    ("name", "flops"),
    [
        ("NVIDIA GB10", 125e12),
        ("NVIDIA GeForce RTX 4070", 58.3e12),
        ("NVIDIA GeForce RTX 5060 Ti", 47.4e12),
        ("NVIDIA A10", 125e12),
        ("Tesla T4", 65e12),
        ("Tesla V100-SXM2-16GB", 125e12),
        ("Tesla V100-PCIE-32GB", 112e12),
        ("Apple M1", 2.6e12),
        ("Apple M2 Max", 13.49e12),
        ("Apple M3 Max", 14.2e12),
        ("Apple M3 Ultra", 28.4e12),
        ("Apple M4 Pro", 9.2e12),
    ],
)
def test_cards_that_nanochats_table_lacks_have_theirs(name: str, flops: float) -> None:
    card = shipped_table().find(name)
    assert card is not None and card.bf16_flops == flops
    assert card.bandwidth is not None and card.source


def test_the_longest_of_the_names_that_fit_counts_wherever_it_stands() -> None:
    table = shipped_table()
    cards = dict(reversed(list(table.cards.items())))
    for name, card in table.cards.items():
        assert replace(table, cards=cards).find(f"Maker {name} 80GB") == card


@pytest.mark.parametrize("name", ["NVIDIA L40", "NVIDIA A1000", "Tesla T40", "H", ""])
def test_a_card_that_is_not_in_the_table_is_not_taken_for_another(name: str) -> None:
    assert shipped_table().find(name) is None


@pytest.mark.parametrize(
    ("names", "per_hour"),
    [
        (("NVIDIA H100 80GB HBM3",) * 8, 24.0),
        (("NVIDIA H200",) * 8, 28.72),
        (("NVIDIA A100-SXM4-80GB",) * 8, 8 * 1.79),
        (("NVIDIA H100 80GB HBM3", "NVIDIA L4"), None),
        ((), None),
    ],
)
def test_a_machine_costs_what_its_cards_do(names: tuple[str, ...], per_hour: float | None) -> None:
    assert machine(*names).usd_per_hour == (per_hour and pytest.approx(per_hour))


def test_a_user_adds_cards_and_changes_figures() -> None:
    added = {"RX 9000": {"bf16_flops": 1e14}, "RTX 4090": {"usd_per_hour": 0.4, "mfu": 0.5}}
    table = shipped_table().with_cards(added, where="settings.toml")
    mine = machine("AMD RX 9000", table=table)
    assert mine.flops_per_s == pytest.approx(0.4e14)
    known = machine("NVIDIA GeForce RTX 4090", table=table)
    assert known.usd_per_hour == 0.4
    assert known.flops_per_s == pytest.approx(0.5 * 165.2e12)
    assert "50% of the vendor's peak, 165 TFLOP/s (settings.toml)" in known.speed_source
    assert shipped_table().find("AMD RX 9000") is None


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"usd_per_hour": 1.0}, "needs bf16_flops"),
        ({"bf16_flop": 1.0}, "closest: 'bf16_flops'"),
        ({"bf16_flops": 0}, "a number above 0, not 0"),
        ({"bf16_flops": "fast"}, "a number above 0, not 'fast'"),
        (3, "must be a section"),
    ],
)
def test_a_users_card_that_cannot_be_is_named(figures: object, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        shipped_table().with_cards({"New": figures}, where="settings.toml")
    assert message in str(caught.value)
    assert '[hardware."New"] in settings.toml' in str(caught.value)


@pytest.mark.parametrize(
    ("names", "memory_gib", "preset"),
    [
        ((), 0, "cpu"),
        (("NVIDIA GeForce RTX 4060",), 8, "gpu-8g"),
        (("NVIDIA GeForce RTX 4070",), 12, "gpu-8g"),
        (("NVIDIA GeForce RTX 5060 Ti",), 15.9, "gpu-16g"),
        (("NVIDIA GeForce RTX 4090",), 23.99, "gpu-24g"),
        (("NVIDIA GeForce RTX 5090",), 32, "gpu-24g"),
        (("NVIDIA H100 80GB HBM3",), 79.6, "gpu-80g"),
        (("NVIDIA H100 80GB HBM3",) * 8, 79.6, "8xh100"),
        (("NVIDIA H200",) * 8, 140, "8xh200"),
        (("NVIDIA A100-SXM4-80GB",) * 8, 80, "8xa100"),
        (("NVIDIA A100-SXM4-40GB",) * 8, 40, "gpu-24g"),
        (("NVIDIA L40S",) * 8, 48, "gpu-24g"),
        (("NVIDIA GB10",), 120, "dgx-spark"),
        (("Apple M3 Max",), 64, "mps"),
    ],
)
def test_every_machine_has_its_preset(
    names: tuple[str, ...], memory_gib: float, preset: str
) -> None:
    assert machine(*names, memory_gib=memory_gib).preset == preset


def test_the_speed_of_a_machine_names_where_it_comes_from() -> None:
    assert "2 CPU cores of 120 GFLOP/s, measured" in machine().speed_source
    assert "2 CPU cores of 50 GFLOP/s" in machine(has_cpu_bf16=False).speed_source
    eight = machine(*("NVIDIA H100 80GB HBM3",) * 8)
    # The d26 that nanochat trained in bf16 at 630,000 tokens a second.
    assert eight.flops_per_s == pytest.approx(630_000 * 5.991e9, rel=0.01)
    assert "8 x NVIDIA H100" in eight.speed_source and "48%" in eight.speed_source
    assert "an assumption" in machine("NVIDIA L4").speed_source
    assert "not in the table" in machine("NVIDIA L5").speed_source


# What `sysctl -n` prints on a MacBook Pro with an M2 Max of 64 GB, and on a Mac of 2019.
M2_MAX = {"machdep.cpu.brand_string": "Apple M2 Max", "hw.memsize": "68719476736"}
INTEL = {
    "machdep.cpu.brand_string": "Intel(R) Core(TM) i9-9980HK CPU @ 2.40GHz",
    "hw.memsize": "34359738368",
}


def test_an_apple_chip_is_a_gpu_with_its_share_of_the_memory() -> None:
    gpus = apple_gpus(system="darwin", ask=lambda name: M2_MAX.get(name, ""))
    assert gpus == (Gpu(name="Apple M2 Max", memory_bytes=int(64 * GIB * MAC_GPU_SHARE)),)
    mac = machine("Apple M2 Max", memory_gib=64)
    assert (mac.preset, mac.device) == ("mps", "mps")
    assert mac.flops_per_s == pytest.approx(0.4 * 13.49e12)


@pytest.mark.parametrize("answers", [INTEL, {}, {"machdep.cpu.brand_string": "Apple M9"}])
def test_a_mac_without_an_apple_chip_or_that_says_nothing_has_none(
    answers: dict[str, str],
) -> None:
    assert apple_gpus(system="darwin", ask=lambda name: answers.get(name, "")) == ()


def test_other_systems_are_not_asked() -> None:
    assert apple_gpus(system="linux", ask=lambda name: M2_MAX[name]) == ()

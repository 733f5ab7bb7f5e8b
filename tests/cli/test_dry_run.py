"""`labcli run speedrun --preset X --dry-run --json`: published figures, each with its source."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from core.hardware import Gpu, detect
from core.hardware_table import GIB
from labcli.launching import new_run
from runs.errors import ExitCode
from runs.recipe import load_recipe
from tests.cli.conftest import Labcli

PRESETS = tuple(load_recipe("speedrun")["presets"])
# What a plan says in numbers, beside the price of an hour, which is part of what `usd` names.
FIGURES = {
    "num_params", "tokens", "steps", "flops", "shards", "memory_bytes", "disk_bytes", "time_s",
    "usd", "token_cache",
}  # fmt: skip


def dry_run(labcli: Labcli, preset: str, *words: str) -> dict[str, Any]:
    plan = dry_run_on(labcli, preset, *words)
    assert plan["preset"] == preset
    return plan


def dry_run_on(labcli: Labcli, preset: str, *words: str) -> dict[str, Any]:
    """Return the plan of a preset, which "auto" chooses for this machine."""
    result = labcli("run", "speedrun", "--preset", preset, "--dry-run", "--json", *words)
    assert (result.code, result.err) == (0, "")
    plan: dict[str, Any] = json.loads(result.out)
    return plan


def base_of(plan: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = next(s["config"] for s in plan["stages"] if s["stage"] == "base")
    return settings


@pytest.mark.parametrize(
    ("preset", "depth", "width", "num_params", "steps", "flops_per_token"),
    [
        # Parameters and FLOPs of the current table, horizons of 8 tokens per scaling parameter.
        ("mps", 6, 384, 73_531_646, 5000, None),
        ("gpu-8g", 8, 512, 125_829_354, 1280, None),
        ("gpu-24g", 12, 768, 286_261_730, 1680, 7.597e8),
        ("gpu-80g", 16, 1024, 536_871_738, 3584, 1.586e9),
        ("8xh100", 24, 1536, 1_384_122_122, 5568, 4.775e9),
        ("8xh200", 24, 1536, 1_384_122_122, 5568, 4.775e9),
        ("8xa100", 24, 1536, 1_384_122_122, 5568, 4.775e9),
        # All four columns of the classic table.
        ("classic-d20", 20, 1280, 560_988_160, 21_400, 3.492e9),
        ("dgx-spark", 20, 1280, 560_988_160, 21_400, 3.492e9),
        ("d26", 26, 1664, 1_081_999_360, 41_275, 6.901e9),
        ("d32", 32, 2048, 1_879_048_192, 71_680, 1.208e10),
    ],
)
def test_model_and_horizon_are_those_of_the_published_tables(
    labcli: Labcli,
    preset: str,
    depth: int,
    width: int,
    num_params: int,
    steps: int,
    flops_per_token: float | None,
) -> None:
    plan = dry_run(labcli, preset)
    model = plan["model"]
    assert (model["depth"], model["n_embd"], model["num_params"]) == (depth, width, num_params)
    assert plan["steps"] == steps
    if flops_per_token is not None:
        pretraining = dry_run(labcli, preset, "--until", "base")
        assert pretraining["flops"] / plan["tokens"] == pytest.approx(flops_per_token, rel=5e-4)


@pytest.mark.parametrize(
    ("preset", "shards", "device_batch", "row_len", "hours", "dollars"),
    [
        ("8xh100", 170, 16, 2048, (1.65, 2.25), (40, 60)),
        ("classic-d20", 240, 16, 2048, (2.7, 4.0), (65, 100)),
        ("d26", 450, 8, 2048, (10.5, 12.5), (250, 300)),
        ("d32", 800, 8, 2048, (31, 36), (800, 1000)),
        ("dgx-spark", 240, 8, 2048, (220, 264), None),
        ("mps", 8, 32, 512, (0.5, 0.75), None),
    ],
)
def test_shards_rows_time_and_price_are_those_of_the_published_runs(
    labcli: Labcli,
    preset: str,
    shards: int,
    device_batch: int,
    row_len: int,
    hours: tuple[float, float],
    dollars: tuple[float, float] | None,
) -> None:
    plan = dry_run(labcli, preset)
    base = base_of(plan)
    assert plan["shards"] == shards
    assert (base["device_batch_size"], base["sequence_len"]) == (device_batch, row_len)
    assert hours[0] <= plan["time_s"] / 3600 <= hours[1]
    if dollars is None:
        assert plan["usd"] is None
    else:
        assert dollars[0] <= plan["usd"] <= dollars[1]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_figure_names_its_source(labcli: Labcli, preset: str) -> None:
    plan = dry_run(labcli, preset)
    sources = plan["sources"]
    assert set(sources) == FIGURES
    base = base_of(plan)
    named = {
        "num_params": "closed form",
        "tokens": f"steps x {base['total_batch_size']:,} tokens",
        "steps": "num_iterations" if base["num_iterations"] else "parameters",
        "flops": "per token, closed form",
        "shards": "num_shards" if plan["shards"] else "corpus embedded",
        "memory_bytes": f"{base['device_batch_size']} rows on one rank",
        "disk_bytes": " checkpoints ",
        "usd": "no price" if plan["usd"] is None else f"${plan['usd_per_hour']:.2f} an hour",
    }
    assert [key for key, words in named.items() if words not in sources[key]] == []
    # A speed, of which machine, and how it is known.
    known = "publish|nanochat|measured on|an assumption"
    assert re.search(rf"training at [\d.]+ [TGP]FLOP/s: \d+ (x|CPU) .+({known})", sources["time_s"])


@pytest.mark.parametrize("preset", PRESETS)
def test_the_figures_of_a_plan_agree_with_one_another(labcli: Labcli, preset: str) -> None:
    plan = dry_run(labcli, preset)
    base = base_of(plan)
    assert plan["tokens"] == plan["steps"] * base["total_batch_size"]
    pretraining = dry_run(labcli, preset, "--until", "base")
    assert pretraining["tokens"] == plan["tokens"]
    assert pretraining["flops"] < plan["flops"]
    assert pretraining["time_s"] < plan["time_s"]
    if plan["usd"] is not None:
        assert plan["usd"] == pytest.approx(plan["time_s"] / 3600 * plan["usd_per_hour"], abs=0.01)
    # Kept checkpoints of 8 bytes a parameter at least, and the text.
    assert plan["disk_bytes"] > 8 * plan["model"]["num_params"]
    assert plan["memory_bytes"] > 8 * plan["model"]["num_params"]


@pytest.mark.parametrize("num_gpus", [3, 5, 6, 7])
def test_a_box_of_any_number_of_gpus_gets_a_plan_of_the_whole_speedrun(
    labcli: Labcli, monkeypatch: pytest.MonkeyPatch, num_gpus: int
) -> None:
    cards = (Gpu(name="NVIDIA H100 80GB HBM3", memory_bytes=80 * GIB),) * num_gpus
    monkeypatch.setattr(new_run, "detect", lambda added: replace(detect(added), gpus=cards))
    plan = dry_run_on(labcli, "auto")
    assert (plan["preset"], plan["machine"]) == ("gpu-80g", f"{num_gpus} x {cards[0].name}")
    trained = {s["stage"]: s for s in plan["stages"] if s["stage"] in ("base", "mid", "sft")}
    assert {stage["nproc"] for stage in trained.values()} == {num_gpus}
    for stage in trained.values():
        batch, rows = (stage["config"][key] for key in ("total_batch_size", "device_batch_size"))
        assert batch % (rows * 2048 * num_gpus) == 0
    (note,) = (note for note in plan["notes"] if note.startswith("mid, sft: "))
    assert f"{trained['mid']['config']['total_batch_size']:,} tokens a step, not 131,072" in note
    refused = labcli("run", "speedrun", "--dry-run", "--set", "sft.total_batch_size=131072")
    assert (refused.code, refused.out) == (ExitCode.USAGE, "")
    assert refused.err.startswith("labcli: error: sft: total_batch_size 131072 is not a multiple")
    assert len(refused.err.splitlines()) == 1

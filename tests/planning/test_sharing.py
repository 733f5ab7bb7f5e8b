"""Any number of ranks shares the batches of a recipe; what a person set is never changed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core.hardware import Gpu, Hardware
from core.hardware_table import GIB
from core.plan import Plan, resolve
from core.settings.training import TrainConfig
from core.shared_batch import most_rows, nearest_share, rank_counts
from runs.errors import UsageError
from runs.recipe import load_recipe

LAPTOP = Hardware(
    cpu="test", num_cpus=2, memory_bytes=16 * GIB, gpus=(), has_cpu_bf16=True, has_compiler=True
)
H100 = Gpu(name="NVIDIA H100 80GB HBM3", memory_bytes=80 * GIB)
SPEEDRUN = load_recipe("speedrun")


def box(num_gpus: int) -> Hardware:
    return replace(LAPTOP, gpus=(H100,) * num_gpus)


def plan(
    *overrides: str, preset: str = "auto", hardware: Hardware = LAPTOP, nproc: int | None = None
) -> Plan:
    return resolve(SPEEDRUN, preset=preset, overrides=overrides, hardware=hardware, nproc=nproc)


def trained(made: Plan) -> dict[str, TrainConfig]:
    return {s.stage: s.config for s in made.stages if isinstance(s.config, TrainConfig)}


@pytest.mark.parametrize("num_gpus", [2, 3, 4, 5, 6, 7])
def test_auto_plans_the_whole_speedrun_for_every_gpu_of_a_box(num_gpus: int) -> None:
    body = plan(hardware=box(num_gpus)).to_json()
    assert (body["preset"], body["machine"]) == ("gpu-80g", f"{num_gpus} x {H100.name}")
    assert body["is_here"]
    for stage in json.loads(json.dumps(body["stages"])):
        if stage["stage"] not in ("base", "mid", "sft"):
            assert stage["nproc"] == 1
            continue
        assert stage["nproc"] == num_gpus
        config = stage["config"]
        per_pass = config["device_batch_size"] * 2048 * num_gpus
        assert config["total_batch_size"] % per_pass == 0


# An Apple GPU runs one rank.
@pytest.mark.parametrize("preset", [name for name in SPEEDRUN["presets"] if name != "mps"])
@pytest.mark.parametrize("num_ranks", [3, 5, 6, 7])
def test_batches_of_every_preset_stay_near_on_any_number_of_ranks(
    preset: str, num_ranks: int
) -> None:
    # With one rank more than a step has rows, a step has to grow.
    alone, shared = plan(preset=preset, nproc=1), plan(preset=preset, nproc=num_ranks)
    for stage, config in trained(shared).items():
        before = trained(alone)[stage].total_batch_size
        assert config.total_batch_size == pytest.approx(before, rel=0.26)
        if before >= 65_536:
            assert config.total_batch_size == pytest.approx(before, rel=0.126)
        is_told = any(
            stage in note.split(":")[0] and f"{config.total_batch_size:,} tokens a step" in note
            for note in shared.notes
        )
        is_by_law = SPEEDRUN["presets"][preset].get(stage, {}).get("total_batch_size") == "auto"
        assert is_told == (config.total_batch_size != before and not is_by_law)


def test_rows_at_a_time_shrink_before_a_step_changes() -> None:
    made = plan(preset="cpu", nproc=2)
    for stage, config in trained(made).items():
        assert (stage, config.total_batch_size, config.device_batch_size) == (stage, 4096, 4)
    (note,) = made.notes
    assert note == "base, mid, sft: 4 rows at a time, not 8, so that 2 ranks share a step evenly."


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "mid.total_batch_size=65536",
            "mid: total_batch_size 65536 is not a multiple of 6144 (2048 tokens x 3 ranks); the "
            "nearest is 67584",
        ),
        (
            "sft.device_batch_size=4",
            "sft: total_batch_size 65536 is not a multiple of 24576 (device_batch_size 4 x 2048 "
            "tokens x 3 ranks); the nearest is 73728",
        ),
    ],
)
def test_what_a_person_set_is_refused_where_ranks_cannot_share_it(
    override: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        plan(override, preset="8xh100", hardware=box(3), nproc=3)
    assert str(caught.value) == message


def test_a_batch_that_a_person_set_is_kept_and_divided_by_fewer_rows() -> None:
    # 33 rows of 2,048 tokens: eleven for each of three ranks.
    made = plan("mid.total_batch_size=67584", preset="8xh100", hardware=box(3), nproc=3)
    mid = trained(made)["mid"]
    assert (mid.total_batch_size, mid.device_batch_size) == (67_584, 1)
    assert "mid: 1 row at a time, not 4, so that 3 ranks share a step evenly." in made.notes


def test_a_batch_of_a_preset_is_not_moved_to_fit_settings_that_fit_no_rank() -> None:
    with pytest.raises(UsageError, match=r"not a multiple of 3072 .*; the nearest is 3072"):
        plan("base.device_batch_size=6", preset="cpu")


def test_idle_gpus_are_told_with_the_way_to_use_them() -> None:
    made = plan(preset="gpu-80g", hardware=box(3))
    assert made.machine == f"1 x {H100.name}"
    assert "It uses 1 of this machine's 3 GPUs; --nproc 3 trains on them all." in made.notes


def test_of_gpus_of_several_kinds_auto_takes_one() -> None:
    mixed = replace(LAPTOP, gpus=(H100, Gpu(name="NVIDIA L4", memory_bytes=24 * GIB)))
    made = plan(hardware=mixed)
    assert made.machine == f"1 x {H100.name}"
    assert any("--nproc 2" in note for note in made.notes)


@pytest.mark.parametrize(
    ("batch", "rows", "row_len", "ranks", "shared"),
    [
        (65_536, 4, 2048, 3, (73_728, 4)),
        # Two rows at a time come nearer than four, and three of them divide the same step.
        (65_536, 4, 2048, 5, (61_440, 3)),
        (131_072, 16, 2048, 8, (131_072, 8)),
        # Less than a row for each rank: one row for each.
        (4096, 8, 512, 12, (6144, 1)),
    ],
)
def test_the_nearest_batch_is_found_and_divided_by_the_most_rows(
    batch: int, rows: int, row_len: int, ranks: int, shared: tuple[int, int]
) -> None:
    share = nearest_share(batch, rows, row_len, ranks)
    assert (share.batch, share.rows) == shared
    assert share.rows == most_rows(rows, share.batch, row_len, ranks)


def test_rank_counts_are_the_divisors_of_the_rows_of_a_step() -> None:
    assert rank_counts(12) == (1, 2, 3, 4, 6, 12)
    assert rank_counts(1) == (1,)

"""What `labcli runs resume --nproc` refuses before anything is started."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.hardware import Gpu, Hardware
from core.plan import resolve
from labcli.launching.resuming import check_gpus, check_ranks
from runs.create import create_run
from runs.errors import ExitCode, UsageError
from runs.paths import LabHome
from runs.recipe import load_recipe
from runs.record import RunRecord, load_record
from tests.builders import build_finished_run
from tests.cli.conftest import Labcli

LAPTOP = Hardware(
    cpu="cpu", num_cpus=4, memory_bytes=2**34, gpus=(), has_cpu_bf16=False, has_compiler=True
)


def planned_run(home: LabHome, *overrides: str) -> RunRecord:
    plan = resolve(load_recipe("speedrun"), preset="cpu", overrides=overrides, hardware=LAPTOP)
    paths = create_run(home, plan=plan.to_json(), recipe="speedrun", preset="cpu")
    return load_record(paths.run_dir)


@pytest.mark.parametrize("rows", ["8", "auto"])
def test_ranks_that_cannot_share_the_batch_are_refused_with_those_that_can(
    home: LabHome, rows: str
) -> None:
    record = planned_run(home, f"base.device_batch_size={rows}")
    with pytest.raises(UsageError) as caught:
        check_ranks(record, 3)
    assert str(caught.value) == (
        "base: total_batch_size 4096 is not a multiple of 1536 (512 tokens x 3 ranks); resume "
        "with --nproc 1, 2, 4 or 8"
    )


def test_ranks_that_share_a_step_by_fewer_rows_at_a_time_may_go_on(home: LabHome) -> None:
    record = planned_run(home, "base.device_batch_size=auto")
    for nproc in (1, 2, 4, 8):
        check_ranks(record, nproc)


def test_only_stages_that_are_yet_to_be_trained_say_how_many_ranks_may_share_them(
    home: LabHome,
) -> None:
    record = planned_run(home, *(f"{stage}.total_batch_size=6144" for stage in ("mid", "sft")))
    with pytest.raises(UsageError, match=r"^base: .*--nproc 1, 2 or 4$"):
        check_ranks(record, 3)
    check_ranks(record, 3, done=["base"])
    with pytest.raises(UsageError, match=r"^mid: .*--nproc 1, 2, 3, 4, 6 or 12$"):
        check_ranks(record, 5, done=["base"])


def test_more_ranks_than_this_machine_has_gpus_are_refused_of_a_run_on_gpus(
    home: LabHome,
) -> None:
    card = Gpu(name="NVIDIA L4", memory_bytes=24 * 2**30)
    recipe, four = load_recipe("speedrun"), replace(LAPTOP, gpus=(card,) * 4)
    plan = resolve(recipe, preset="auto", overrides=(), hardware=four)
    paths = create_run(home, plan=plan.to_json(), recipe="speedrun", preset="auto", nproc=4)
    record = load_record(paths.run_dir)
    check_gpus(record, 4)
    check_gpus(record, 2, nproc=2)
    check_gpus(record, 1, done=["base", "mid", "sft"])
    told = "trains on 4 GPUs, one for each rank, and this machine has 2; resume with fewer ranks"
    with pytest.raises(UsageError, match=told):
        check_gpus(record, 2)
    check_gpus(planned_run(home), 0, nproc=4)


def test_of_a_finished_run_it_is_said_that_it_is_finished_whatever_the_ranks(
    home: LabHome, labcli: Labcli
) -> None:
    slug = build_finished_run(home).slug
    result = labcli("runs", "resume", slug, "--nproc", "3")
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert "is finished; there is nothing to resume" in result.err

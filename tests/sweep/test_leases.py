"""Who gets which GPU or place, decided without one; and NVML where it is absent."""

from __future__ import annotations

import os

import pytest

from runs.errors import LabError
from runs.paths import LabHome
from runs.scheduling.gpus import GpuReport, look_at_gpus
from runs.scheduling.leases import (
    choose,
    cpu_room,
    gpu_room,
    holders,
    lease_env,
    release,
    try_lease,
)
from runs.scheduling.queue_settings import QueueSettings
from runs.settings import load_settings

TWO_GPUS = QueueSettings(gpus=(0, 1))
IDLE = GpuReport(users={0: (), 1: ()})


def names(chosen: object) -> list[str]:
    assert not isinstance(chosen, str), chosen
    return [place.name for place in chosen]  # type: ignore[attr-defined]


def test_place_is_leased_once_until_it_is_released(home: LabHome) -> None:
    lease = try_lease(home, "gpu0", "RUN-A", gpu=0)
    assert lease is not None
    assert try_lease(home, "gpu0", "RUN-B", gpu=0) is None
    assert holders(home) == {"gpu0": "RUN-A"}
    release([lease])
    assert holders(home) == {}


def test_each_run_gets_a_gpu_of_its_own() -> None:
    assert names(choose(gpu_room(TWO_GPUS, {}, IDLE), 1)) == ["gpu0"]
    assert names(choose(gpu_room(TWO_GPUS, {"gpu0": "A"}, IDLE), 1)) == ["gpu1"]
    assert names(choose(gpu_room(TWO_GPUS, {}, IDLE), 2)) == ["gpu0", "gpu1"]
    full = choose(gpu_room(TWO_GPUS, {"gpu0": "A", "gpu1": "B"}, IDLE), 1)
    assert full == "GPU 0 is leased by run A; GPU 1 is leased by run B"


def test_gpu_that_a_foreign_process_uses_is_left_alone() -> None:
    report = GpuReport(users={0: (os.getpid(),), 1: ()})
    assert names(choose(gpu_room(TWO_GPUS, {}, report), 1)) == ["gpu1"]
    why = choose(gpu_room(QueueSettings(gpus=(0,)), {}, report), 1)
    assert isinstance(why, str)
    assert why.startswith(f"GPU 0 is used by process {os.getpid()} (")


def test_run_that_needs_more_gpus_than_there_are_is_told_so() -> None:
    assert choose(gpu_room(TWO_GPUS, {}, IDLE), 4) == "it needs 4 GPUs, and there are 2"


def test_without_nvml_the_reason_is_one_clear_line() -> None:
    report = GpuReport(problem="no GPU can be seen: NVML says 'nvml shared library not found'")
    assert choose(gpu_room(QueueSettings(), {}, report), 1) == report.problem
    # Indices that a person has set are believed.
    assert names(choose(gpu_room(TWO_GPUS, {}, report), 1)) == ["gpu0"]


def test_real_nvml_answers_or_says_why_not() -> None:
    report = look_at_gpus()
    assert bool(report.users) != bool(report.problem)


def test_supervisor_is_told_its_leases_and_its_gpus(home: LabHome) -> None:
    leases = [try_lease(home, f"gpu{n}", "RUN-A", gpu=n) for n in (1, 3)]
    held = [lease for lease in leases if lease is not None]
    env = lease_env(held)
    assert env["CUDA_VISIBLE_DEVICES"] == "1,3"
    assert env["LABCLI_LEASES"] == ",".join(str(lease.fd) for lease in held)
    release(held)


def test_runs_by_hand_take_places_on_the_cpu_too() -> None:
    settings = QueueSettings(max_runs=2)
    assert len(names(choose(cpu_room(settings, {}, {"BY-HAND"}), 1))) == 1
    assert isinstance(choose(cpu_room(settings, {"cpu0": "A"}, {"A", "BY-HAND"}), 1), str)
    assert names(choose(cpu_room(settings, {"cpu0": "A"}, {"A"}), 1)) == ["cpu1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[queue]\nmax_runs = 0\n", "1 or more"),
        ("[queue]\nmax_runz = 2\n", "has no 'max_runz'"),
        ("[queue]\ngpus = 2\n", "list of indices"),
        ("[queue\n", "cannot be read as TOML"),
    ],
)
def test_wrong_settings_are_refused_with_what_is_wrong(home: LabHome, text: str, said: str) -> None:
    home.root.mkdir()
    (home.root / "settings.toml").write_text(text)
    with pytest.raises(LabError, match=said):
        load_settings(home, {})


def test_queue_has_its_own_table_beside_others(home: LabHome) -> None:
    home.root.mkdir()
    (home.root / "settings.toml").write_text(
        "[notify]\nbell = true\n[queue]\nmax_runs = 3\ngpus = [0, 2]\n"
    )
    assert load_settings(home, {}).queue == QueueSettings(max_runs=3, gpus=(0, 2))

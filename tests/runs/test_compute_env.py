"""What a worker sets in its environment before torch is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from labcli.working.compute_env import compute_environment

H100, SPARK = "NVIDIA H100 80GB HBM3", "NVIDIA GB10"


@pytest.fixture
def ptxas(tmp_path: Path) -> Path:
    path = tmp_path / "ptxas"
    path.touch()
    return path


def test_kernels_are_kept_in_the_lab_home_and_a_cpu_needs_nothing_else(tmp_path: Path) -> None:
    added = compute_environment({}, kernels_dir=tmp_path, gpu_names=[])
    assert added == {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}


def test_gpu_memory_grows_in_segments(tmp_path: Path, ptxas: Path) -> None:
    added = compute_environment({}, kernels_dir=tmp_path, gpu_names=[H100], ptxas=ptxas)
    assert added["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"
    assert not any("PTXAS" in name for name in added)


def test_a_spark_takes_the_assembler_of_the_installed_toolkit(tmp_path: Path, ptxas: Path) -> None:
    added = compute_environment({}, kernels_dir=tmp_path, gpu_names=[SPARK], ptxas=ptxas)
    assert added["TRITON_PTXAS_PATH"] == added["TRITON_PTXAS_BLACKWELL_PATH"] == str(ptxas)
    bare = compute_environment({}, kernels_dir=tmp_path, gpu_names=[SPARK], ptxas=tmp_path / "none")
    assert not any("PTXAS" in name for name in bare)


@pytest.mark.parametrize(
    "name", ["TORCHINDUCTOR_CACHE_DIR", "PYTORCH_ALLOC_CONF", "TRITON_PTXAS_PATH"]
)
def test_what_a_person_has_set_stays(tmp_path: Path, ptxas: Path, name: str) -> None:
    env = {name: "mine"}
    added = compute_environment(env, kernels_dir=tmp_path, gpu_names=[SPARK], ptxas=ptxas)
    assert name not in added


def test_the_older_name_of_the_allocator_setting_stays_in_force(tmp_path: Path) -> None:
    env = {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:64"}
    added = compute_environment(env, kernels_dir=tmp_path, gpu_names=[H100])
    assert "PYTORCH_ALLOC_CONF" not in added

"""What libraries below torch read from the environment; set before the first of them is loaded.

Everything that a person has set stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

CUDA_PTXAS = Path("/usr/local/cuda/bin/ptxas")


def compute_environment(
    inherited: Mapping[str, str],
    *,
    kernels_dir: Path,
    gpu_names: Sequence[str],
    ptxas: Path = CUDA_PTXAS,
) -> dict[str, str]:
    """Return the variables to add to `inherited`.

    kernels_dir: where compiled kernels are kept, so that the next start finds them.
    gpu_names: the NVIDIA cards of this machine.
    ptxas: the assembler of an installed CUDA toolkit, used where it is there and is needed.
    """
    added = {"TORCHINDUCTOR_CACHE_DIR": str(kernels_dir)}
    if gpu_names:
        # Either name counts; torch reads the older one first.
        if "PYTORCH_CUDA_ALLOC_CONF" not in inherited:
            added["PYTORCH_ALLOC_CONF"] = "expandable_segments:True"
        # Triton's own ptxas did not know sm_121 for long. From compute capability 10 on it reads
        # the second name.
        if any("GB10" in name for name in gpu_names) and ptxas.is_file():
            added["TRITON_PTXAS_PATH"] = str(ptxas)
            added["TRITON_PTXAS_BLACKWELL_PATH"] = str(ptxas)
    return {name: value for name, value in added.items() if name not in inherited}

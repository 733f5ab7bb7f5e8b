"""What NVML says about the GPUs of this machine, and who uses them. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReport:
    """GPUs by index, each with the ids of the processes on it; `problem`: why nothing is known."""

    users: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    problem: str | None = None


def look_at_gpus() -> GpuReport:
    """Return the GPUs that NVML sees and the processes that compute on them."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return GpuReport(problem=f"no GPU can be seen: NVML says {str(error).lower()!r}")
    try:
        users = {
            index: tuple(
                int(process.pid)
                for process in pynvml.nvmlDeviceGetComputeRunningProcesses(
                    pynvml.nvmlDeviceGetHandleByIndex(index)
                )
            )
            for index in range(pynvml.nvmlDeviceGetCount())
        }
    except pynvml.NVMLError as error:
        return GpuReport(problem=f"the GPUs cannot be read: NVML says {str(error).lower()!r}")
    finally:
        pynvml.nvmlShutdown()
    return GpuReport(users=users)

"""host.jsonl: samples of the machine that a run is on, and alerts of its supervisor."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runs.alerting.host_alerts import DISK_LOW
from runs.events import Severity
from runs.log import append_record
from runs.paths import RunPaths
from runs.supervision.autopsy import write_autopsy
from runs.supervision.stall import Hang

LOW_DISK_BYTES = 1_000_000_000
# The disk must be emptied this far beyond the limit before it can be called full again.
DISK_RELIEF = 1.5
SAMPLE_S = 5.0
# The sensors are opened when the first worker is already on its way.
FIRST_SAMPLE_S = 1.0


class HostLog:
    """Writes the samples of one machine, and what a person should be told of at once."""

    def __init__(self, run_dir: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._paths = RunPaths(run_dir)
        self._clock = clock
        self._due_s = clock() + FIRST_SAMPLE_S
        self._sensors: HostSampler | None = None
        self.low_disk_bytes = LOW_DISK_BYTES
        # Called with every alert, after it was written.
        self.on_alert: Callable[[Mapping[str, Any]], None] | None = None

    def tick(self, worker_pid: int | None) -> None:
        """Write a sample when one is due."""
        now = self._clock()
        if now < self._due_s:
            return
        self._due_s = now + SAMPLE_S
        sample = self._sampler().sample(worker_pid)
        append_record(self._paths.host, "sample", sample)
        alert = self._sampler().alert(sample, self.low_disk_bytes)
        if alert is not None:
            self.alert(**alert)

    def alert(self, code: str, severity: Severity, message: str, **more: Any) -> None:
        """Write an alert."""
        body = {"code": code, "severity": severity, "message": message, **more}
        append_record(self._paths.host, "alert", body)
        if self.on_alert is not None:
            self.on_alert(body)

    def record_hang(self, run_id: str, stage: str, attempt: int, hang: Hang) -> str:
        """Write the autopsy of a stage that hangs and an alert; return where it lies in the run.

        A disk that is full costs the autopsy, not the run: the alert says so.
        """
        sensors = self._sampler().sample(None)
        why = hang.describe()
        try:
            path = write_autopsy(self._paths, run_id, stage, attempt, why=why, sensors=sensors)
            place = str(path.relative_to(self._paths.run_dir))
        except OSError as error:
            place = f"no autopsy, it could not be written: {error.strerror}"
        self.alert("stalled", "error", f"{stage} hangs: {why}", stage=stage, autopsy=place)
        return place

    def _sampler(self) -> HostSampler:
        if self._sensors is None:
            self._sensors = HostSampler(self._paths.run_dir)
        return self._sensors


class HostSampler:
    """Reads the sensors of this machine; a GPU that cannot be read is left out."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._gpus = _open_gpus()
        self._has_warned = False

    def sample(self, worker_pid: int | None) -> dict[str, Any]:
        """Return the load since the last sample; the first one has a CPU share of 0."""
        import psutil

        memory = psutil.virtual_memory()
        return {
            "cpu_percent": psutil.cpu_percent(interval=None),
            "memory_used_bytes": memory.total - memory.available,
            "memory_total_bytes": memory.total,
            "worker_memory_bytes": _family_memory(worker_pid),
            "disk_free_bytes": psutil.disk_usage(str(self._run_dir)).free,
            "gpus": [reading for reading in map(_read_gpu, self._gpus) if reading is not None],
        }

    def alert(self, sample: Mapping[str, Any], low_disk_bytes: float) -> dict[str, Any] | None:
        """Return an alert when the disk is nearly full, once until it has been emptied."""
        free_bytes = sample["disk_free_bytes"]
        if free_bytes > DISK_RELIEF * low_disk_bytes:
            self._has_warned = False
        if self._has_warned or free_bytes >= low_disk_bytes:
            return None
        self._has_warned = True
        message = f"only {free_bytes / 1e6:.0f} MB left on the disk of {self._run_dir}"
        return {"code": DISK_LOW, "severity": "warning", "message": message}


def _family_memory(pid: int | None) -> int:
    import psutil

    if pid is None:
        return 0
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for member in family:
        try:
            total += member.memory_info().rss
        except psutil.Error:
            continue
    return total


def _open_gpus() -> list[Any]:
    import pynvml

    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []


def _read_gpu(handle: Any) -> dict[str, Any] | None:
    import pynvml

    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        return {
            "util_percent": int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
            "memory_used_bytes": int(memory.used),
            "memory_total_bytes": int(memory.total),
            "temperature_c": int(pynvml.nvmlDeviceGetTemperature(handle, 0)),
            "power_w": pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        }
    except pynvml.NVMLError:
        return None

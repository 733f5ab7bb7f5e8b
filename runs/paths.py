"""Where everything lies: the lab home and the files of one run. Computes paths, creates nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runs.registry.placement import registry_dir


@dataclass(frozen=True, slots=True)
class LabHome:
    """The directory that holds every run, the shared data and the registry."""

    root: Path

    @property
    def disk_free_bytes(self) -> int | None:
        """What is free on the disk that the lab home lies, or will lie, on; None if unknown."""
        place = self.root
        while not place.exists() and place != place.parent:
            place = place.parent
        try:
            return shutil.disk_usage(place).free
        except OSError:
            return None

    @property
    def registry(self) -> Path:
        """The derived catalogue; `labcli runs reindex` recreates it."""
        return registry_dir(self.root, os.environ) / "registry.duckdb"

    @property
    def sketches(self) -> Path:
        """The curves of all runs in few buckets; derived like the registry."""
        return registry_dir(self.root, os.environ) / "sketches.duckdb"

    @property
    def run_views(self) -> Path:
        """How the runs that have ended look, kept to list many of them quickly; derived."""
        return registry_dir(self.root, os.environ) / "views.json"

    @property
    def run_settings(self) -> Path:
        """The settings of runs, kept to filter many of them quickly; derived."""
        return self.run_views.with_name("settings.json")

    @property
    def run_figures(self) -> Path:
        """The figures of runs that have ended, kept to filter many of them quickly; derived."""
        return self.run_views.with_name("figures.json")

    @property
    def registry_lock(self) -> Path:
        """Locked by whoever publishes the registry; readers take no lock."""
        return registry_dir(self.root, os.environ) / "registry.lock"

    @property
    def data_dir(self) -> Path:
        """Corpora and conversations, shared by all runs."""
        return self.root / "data"

    @property
    def tokenizers_dir(self) -> Path:
        """Tokenizers that were trained or imported by themselves, one JSON file each."""
        return self.root / "tokenizers"

    @property
    def runs_dir(self) -> Path:
        """One directory per run."""
        return self.root / "runs"

    @property
    def trash_dir(self) -> Path:
        """The deleted runs, laid out as a lab home of their own."""
        return self.root / "trash"

    @property
    def generations_dir(self) -> Path:
        """Interactive answers that a person saved or voted on."""
        return self.root / "generations"

    @property
    def queue_dir(self) -> Path:
        """One file per run that waits for its turn."""
        return self.root / "queue"

    @property
    def leases_dir(self) -> Path:
        """One file per GPU or place, locked by the processes of the run that has it."""
        return self.root / "leases"

    @property
    def sweeps_dir(self) -> Path:
        """One directory per sweep."""
        return self.root / "sweeps"

    @property
    def kernels_dir(self) -> Path:
        """What torch.compile has built, for the next start; it can be built again."""
        return self.root / "cache" / "kernels"

    @property
    def snapshots_dir(self) -> Path:
        """Source trees that queued runs start from, by content hash."""
        return self.root / "snapshots"


def lab_home(override: Path | None, env: Mapping[str, str]) -> LabHome:
    """Return the lab home: `--home`, else `$LABCLI_HOME`, else `~/.labcli`."""
    chosen = override or Path(env.get("LABCLI_HOME") or "~/.labcli")
    return LabHome(chosen.expanduser().absolute())


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The files of one run directory."""

    run_dir: Path

    @property
    def home(self) -> LabHome:
        """The lab home that this run lies in."""
        return LabHome(self.run_dir.parent.parent)

    def find(self, recorded: str | Path) -> Path:
        """Return where a recorded path lies now: the lab home may have been copied or moved.

        A relative path is one inside the run. What lies nowhere keeps the path that it had.
        """
        path = self.run_dir / recorded
        if path.exists():
            return path
        home = self.home
        for root in (home.data_dir, home.runs_dir, home.tokenizers_dir):
            if root.name in path.parts:
                place = len(path.parts) - 1 - path.parts[::-1].index(root.name)
                moved = root.joinpath(*path.parts[place + 1 :])
                if moved.exists():
                    return moved
        return path

    @property
    def run_json(self) -> Path:
        """What was asked for and where it ran; written once."""
        return self.run_dir / "run.json"

    @property
    def control(self) -> Path:
        """What the supervisor did and saw; it is the only writer."""
        return self.run_dir / "control.jsonl"

    @property
    def requests(self) -> Path:
        """What anyone asked the supervisor to do."""
        return self.run_dir / "requests.jsonl"

    @property
    def annotations(self) -> Path:
        """Tags, notes and renames that people added."""
        return self.run_dir / "annotations.jsonl"

    @property
    def host(self) -> Path:
        """Samples of CPU, memory, GPU and disk, taken by the supervisor."""
        return self.run_dir / "host.jsonl"

    @property
    def summary(self) -> Path:
        """Figures of every stage; derived from the events."""
        return self.run_dir / "summary.json"

    @property
    def git_diff(self) -> Path:
        """What the working tree held beyond the recorded commit."""
        return self.run_dir / "git.diff"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the live supervisor, so that there is only one."""
        return self.run_dir / "supervisor.lock"

    @property
    def supervisor_log(self) -> Path:
        """Standard output and error of the supervisor."""
        return self.run_dir / "logs" / "supervisor.log"

    @property
    def events_dir(self) -> Path:
        """One event log per stage, attempt and rank."""
        return self.run_dir / "events"

    def events(self, stage: str, attempt: int, rank: int = 0) -> Path:
        """Return the event log of one rank in one attempt of a stage."""
        return self.events_dir / f"{stage}.a{attempt}.r{rank}.jsonl"

    def log_dir(self, stage: str) -> Path:
        """Return the directory of what the workers of a stage printed."""
        return self.run_dir / "logs" / stage

    def worker_log(self, stage: str, attempt: int) -> Path:
        """Return the file with the standard output and error of one attempt."""
        return self.log_dir(stage) / f"a{attempt}.log"

    def artifacts_dir(self, stage: str) -> Path:
        """Return the directory of what a stage produced."""
        return self.run_dir / "artifacts" / stage

    def checkpoints_dir(self, stage: str) -> Path:
        """Return the directory that holds `step_<n>/` of a stage."""
        return self.run_dir / "checkpoints" / stage

    def metrics(self, stage: str) -> Path:
        """Return the compacted metrics of a stage; derived from its events."""
        return self.run_dir / "metrics" / f"{stage}.parquet"

    def sketch(self, stage: str) -> Path:
        """Return the sketches of a stage's metrics; derived with them."""
        return self.run_dir / "metrics" / f"{stage}.sketch.arrow"

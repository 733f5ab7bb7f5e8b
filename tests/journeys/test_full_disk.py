"""A disk that fills up while a model trains: the training goes on, and says what was lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runs.events import EventRecord, EventTail
from runs.launch.local import launch
from runs.paths import LabHome, RunPaths
from runs.supervision.process import identify
from runs.views.query import load_run
from tests.core.builders import make_world
from tests.journeys.training import make_training_run
from tests.runs.builders import (
    kill_everything,
    wait_for,
    wait_for_state,
    wait_for_step,
    worker_pid,
)

DISK_BYTES = 8_000_000
STEPS = 250


def as_root(*words: str) -> bool:
    """Run a command as root and return whether it worked."""
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if prefix and shutil.which("sudo") is None:
        return False
    done = subprocess.run([*prefix, *words], capture_output=True, check=False, timeout=30)
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = f"size={DISK_BYTES},mode=777"
    if not as_root("mount", "-t", "tmpfs", "-o", options, "none", str(disk)):
        pytest.skip("mounting a small disk needs root")
    try:
        yield disk
    finally:
        kill_everything(LabHome(disk / "lab"))
        as_root("umount", "--lazy", str(disk))


def records(paths: RunPaths, kind: str) -> list[EventRecord]:
    return [record for record in EventTail(paths.events("base", 1)).read() if record.kind == kind]


def fill(path: Path) -> None:
    """Write until there is no space left."""
    with open(path, "wb", buffering=0) as stream:
        size = 65536
        while size:
            try:
                stream.write(b"x" * size)
            except OSError:
                size //= 2


def test_training_goes_on_while_the_disk_is_full_and_says_what_was_lost(
    small_disk: Path, tmp_path: Path
) -> None:
    world = tmp_path / "world"
    make_world(world)
    paths = make_training_run(LabHome(small_disk / "lab"), world, num_steps=STEPS, save_every=50)
    launch(paths)
    wait_for_step(paths, "base", 30)
    worker = identify(worker_pid(paths, "base"))
    fill(small_disk / "ballast")
    reached = records(paths, "step")[-1].data["step"]
    began_s = cpu_s(worker_pid(paths, "base"))
    wait_for(lambda: cpu_s(worker_pid(paths, "base")) > began_s + 0.5, "some work without a disk")
    assert load_run(paths.run_dir).state == "running"
    (small_disk / "ballast").unlink()
    wait_for(lambda: records(paths, "step")[-1].data["step"] > reached + 1, "the next step")
    assert identify(worker_pid(paths, "base")) in (worker, None)
    view = wait_for_state(paths, "finished", deadline_s=90)
    assert (view.stages[0].attempt, view.stages[0].step) == (1, STEPS)
    steps = [record.data["step"] for record in records(paths, "step")]
    lost = sum(
        int(found[1])
        for record in records(paths, "alert")
        if record.data["code"] == "events-dropped"
        and (found := re.match(r"(\d+) events lost", record.data["message"]))
    )
    assert 0 < STEPS - len(steps) <= lost
    seqs = [record.seq for record in EventTail(paths.events("base", 1)).read()]
    assert seqs == list(range(len(seqs)))


def cpu_s(pid: int) -> float:
    """Return the processor time of a process, or 0 when it has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

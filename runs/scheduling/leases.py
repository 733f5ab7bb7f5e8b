"""Leases: which run has which GPU, or which of the places on the CPU.

A lease is a locked file. The lock belongs to an open file that the supervisor and the workers of
a run inherit, so the kernel frees it when the last of them is gone, however they end, and not
before: a worker that outlives its supervisor keeps its GPU.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from runs.paths import LabHome
from runs.scheduling.gpus import GpuReport
from runs.scheduling.queue_settings import QueueSettings
from runs.supervision.process import command_line

FDS_ENV = "LABCLI_LEASES"
VISIBLE_ENV = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A place that is held as long as `fd`, or a copy of it in another process, is open."""

    name: str
    fd: int
    gpu: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A GPU or a place on the CPU; `taken` says why it cannot be leased now, if it cannot."""

    name: str
    gpu: int | None = None
    taken: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The places that a run could have; `problem` is what stops every run of this kind."""

    places: Sequence[Place] = field(default_factory=tuple)
    problem: str | None = None


def try_lease(home: LabHome, name: str, run_id: str, *, gpu: int | None = None) -> Lease | None:
    """Return the lease on a place for a run, or None while another run has it."""
    home.leases_dir.mkdir(parents=True, exist_ok=True)
    fd = os.open(home.leases_dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    os.ftruncate(fd, 0)
    os.pwrite(fd, run_id.encode(), 0)
    return Lease(name=name, fd=fd, gpu=gpu)


def release(leases: Iterable[Lease]) -> None:
    """Close our copy of each lease; whoever inherited one still has it."""
    for lease in leases:
        os.close(lease.fd)


def holder(home: LabHome, name: str) -> str | None:
    """Return the run that has a place, or None when it is free."""
    try:
        fd = os.open(home.leases_dir / name, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(fd, 64, 0).decode("ascii", errors="replace") or "unknown"
    finally:
        os.close(fd)
    return None


def holders(home: LabHome) -> dict[str, str]:
    """Return the run that has each place, by the name of the place."""
    if not home.leases_dir.is_dir():
        return {}
    names = sorted(path.name for path in home.leases_dir.iterdir())
    return {name: run_id for name in names if (run_id := holder(home, name)) is not None}


def cpu_room(settings: QueueSettings, held: Mapping[str, str], active: Iterable[str]) -> Room:
    """Return the places on the CPU: `max_runs` of them, where runs started by hand count too.

    held: run by place. active: every run of the lab home that is at work, whoever started it.
    """
    num_by_hand = len(set(active) - set(held.values()))
    names = [f"cpu{index}" for index in range(settings.max_runs)]
    free = [name for name in names if name not in held]
    # Runs that never asked for a place take the last of the free ones.
    blocked = set(free[max(0, len(free) - num_by_hand) :])
    limit = f"at most {settings.max_runs} at once (settings.toml: [queue] max_runs)"
    return Room(
        places=[
            Place(name=name, taken=limit if name in held or name in blocked else None)
            for name in names
        ]
    )


def gpu_room(settings: QueueSettings, held: Mapping[str, str], report: GpuReport) -> Room:
    """Return the GPUs: those that NVML sees, or those that are set; one in use is taken.

    Where indices are set and NVML cannot be asked, only leases say what is in use.
    """
    indices = settings.gpus if settings.gpus is not None else tuple(report.users)
    if not indices:
        return Room(problem=report.problem or "this machine has no GPU")
    places = []
    for index in indices:
        name = f"gpu{index}"
        users = report.users.get(index, ())
        taken = None
        if name in held:
            taken = f"GPU {index} is leased by run {held[name]}"
        elif users:
            taken = f"GPU {index} is used by process {users[0]} ({command_line(users[0])[:60]})"
        elif report.problem is None and index not in report.users:
            taken = f"there is no GPU {index}"
        places.append(Place(name=name, gpu=index, taken=taken))
    return Room(places=places)


def choose(room: Room, num_needed: int) -> Sequence[Place] | str:
    """Return the places that a run gets, or in one line why it has to wait."""
    if room.problem is not None:
        return room.problem
    free = [place for place in room.places if place.taken is None]
    if len(free) >= num_needed:
        return free[:num_needed]
    if num_needed > len(room.places):
        return f"it needs {num_needed} GPUs, and there are {len(room.places)}"
    reasons = dict.fromkeys(place.taken for place in room.places if place.taken)
    return "; ".join(reasons)


def lease_env(leases: Sequence[Lease]) -> dict[str, str]:
    """Return what a supervisor has to know about the leases that it inherits."""
    env = {FDS_ENV: ",".join(str(lease.fd) for lease in leases)}
    gpus = [str(lease.gpu) for lease in leases if lease.gpu is not None]
    return env | ({VISIBLE_ENV: ",".join(gpus)} if gpus else {})


def inherited_fds(env: Mapping[str, str]) -> tuple[int, ...]:
    """Return the lease files that this process was given, for the processes that it starts."""
    found = []
    for word in env.get(FDS_ENV, "").split(","):
        if word.isdigit():
            try:
                os.fstat(int(word))
            except OSError:
                continue
            found.append(int(word))
    return tuple(found)

"""The init of a sandbox and the program in it: forked, limited, and without any right.

Standard library alone, like all of the guard.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import NoReturn

from core.engine.sandbox_job import PROGRAM, Ground, Job, is_open_to_all, report
from core.engine.sandbox_system import (
    CAP_DAC_READ_SEARCH,
    CAP_VERSION_3,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_RAISE,
    PR_CAPBSET_DROP,
    PR_SET_DUMPABLE,
    PR_SET_KEEPCAPS,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    call,
    prctl,
)


def start_init(job: Job, ground: Ground) -> tuple[int, int]:
    """Fork the init; returns the pipe that brings the program's pid and its end, and the pid."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write_fd)
        return read_fd, pid
    try:
        be_init(job, ground, write_fd)
    except Exception as problem:
        report(job, failed=f"could not start the program: {problem!r}")
    finally:
        os._exit(1)


def be_init(job: Job, ground: Ground, status_fd: int) -> NoReturn:
    """Start the program, wait for it, say how it ended, and end: what is left goes down with it."""
    if sys.platform == "linux":
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(PR_SET_DUMPABLE, 0)
    if ground.entered & CLONE_NEWPID:
        hide_processes(job)
    num_taken = count_tasks(ground)
    report(job, is_ready=True)
    program = os.fork()
    if program == 0:
        try:
            be_program(job, ground, num_taken)
        except Exception as problem:
            report(job, failed=f"could not start the program: {problem!r}")
        finally:
            os._exit(1)
    os.write(status_fd, f"{program}\n".encode())
    pid = 0
    while pid != program:
        pid, status, usage = os.wait4(-1, 0)
    ended = {
        "status": os.waitstatus_to_exitcode(status),
        "used_cpu_s": usage.ru_utime + usage.ru_stime,
    }
    if not ground.entered & CLONE_NEWPID:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program, signal.SIGKILL)
    os.write(status_fd, json.dumps(ended).encode() + b"\n")
    os._exit(0)


def hide_processes(job: Job) -> None:
    """Show the processes of the new namespace in /proc, or nothing where that is not allowed."""
    flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    for kind in (b"proc", b"tmpfs"):
        with contextlib.suppress(OSError):
            call("mount", kind, b"/proc", kind, flags, None)
            return
    report(job, missing=["/proc shows the processes outside"])


def count_tasks(ground: Ground) -> int:
    """Return how many tasks of the program's user count against its limit before it starts.

    From Linux 5.14 RLIMIT_NPROC counts per user namespace; before, and without one, per user.
    """
    is_same = ground.uid is None
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    if ground.entered & CLONE_NEWUSER and release >= (5, 14):
        return 2 if is_same else 0
    if sys.platform != "linux":
        return 0
    uid, count = ground.uid or os.geteuid(), 0
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if entry.stat().st_uid == uid:
                count += len(list((entry / "task").iterdir()))
    return count


def be_program(job: Job, ground: Ground, num_taken: int) -> NoReturn:
    """Give up every right, take on the limits and become the interpreter of the program."""
    os.setsid()
    limit(job, "RLIMIT_CPU", job.cpu_s, job.cpu_s + 1)
    limit(job, "RLIMIT_FSIZE", job.file_bytes)
    limit(job, "RLIMIT_NOFILE", job.num_files)
    limit(job, "RLIMIT_CORE", 0)
    if sys.platform == "linux":
        give_up_rights(ground)
        # After the change of user, which clears it.
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    limit(job, "RLIMIT_NPROC", num_taken + job.num_processes)
    limit(job, "RLIMIT_AS", job.memory_bytes)
    options = ["-I", "-S", "-B", "-X", "utf8"]
    os.execv(sys.executable, [sys.executable, *options, PROGRAM])


def limit(job: Job, name: str, soft: int, hard: int | None = None) -> None:
    """Set a limit, never above the one that already holds."""
    number = getattr(resource, name)
    ceiling = resource.getrlimit(number)[1]
    wanted = (soft, soft if hard is None else hard)
    if ceiling != resource.RLIM_INFINITY:
        wanted = (min(wanted[0], ceiling), min(wanted[1], ceiling))
    try:
        resource.setrlimit(number, wanted)
    except (OSError, ValueError) as problem:
        report(job, missing=[f"{name} cannot be set ({problem})"])


def give_up_rights(ground: Ground) -> None:
    """Become another user where that was decided, without capabilities and for good.

    Where the interpreter lies in a directory closed to others the right to read files is kept; in
    a user namespace that reaches root's files only.
    """
    kept = CAP_DAC_READ_SEARCH if ground.uid is not None and not is_open_to_all() else None
    prctl(PR_SET_KEEPCAPS, 1)
    for capability in range(64):
        if capability != kept:
            # EINVAL: this kernel has fewer. EPERM: not ours to drop, then not ours to have either.
            with contextlib.suppress(OSError):
                prctl(PR_CAPBSET_DROP, capability)
    if ground.uid is not None:
        os.setgroups([])
        os.setresgid(ground.uid, ground.uid, ground.uid)
        os.setresuid(ground.uid, ground.uid, ground.uid)
    bits = 0 if kept is None else 1 << kept
    header = (ctypes.c_uint32 * 2)(CAP_VERSION_3, 0)
    # Effective, permitted, inheritable of capabilities 0 to 31, then of the rest.
    sets = (ctypes.c_uint32 * 6)(bits, bits, bits, 0, 0, 0)
    call("capset", ctypes.byref(header), ctypes.byref(sets))
    if kept is not None:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept)
    prctl(PR_SET_NO_NEW_PRIVS, 1)

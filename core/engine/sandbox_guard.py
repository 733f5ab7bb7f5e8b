"""The guard of one sandboxed program: `sandbox.py` starts it, once per run.

Three processes in a chain. The guard (this process) makes the namespaces, waits, and at the end
kills whatever is left. The init is the first process of the new pid namespace: when it ends, the
kernel kills everything inside. The program is a fresh interpreter under limits.

    run_code --Popen--> guard --fork--> init --fork--> (limits, exec) program

The guard ends the program when the write end of the lifeline pipe closes: the caller wants it so,
or is dead.

It runs under `python -I -S`, so it imports the standard library and its own parts only, and little
of it (hence NamedTuples): a run should cost little more than the start of an interpreter or two.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from pathlib import Path

from core.engine.sandbox_ground import prepare
from core.engine.sandbox_job import Job, report
from core.engine.sandbox_program import start_init
from core.engine.sandbox_system import CLONE_NEWPID, kill

SWEEP_S = 3.0


def main() -> None:
    """Run `program.py` of the working directory as the JSON in the first argument says."""
    job = Job(**json.loads(sys.argv[1]))
    os.set_inheritable(job.report_fd, False)
    os.set_inheritable(job.lifeline_fd, False)
    try:
        ground = prepare(job)
        status_fd, init = start_init(job, ground)
    except OSError as problem:
        report(job, failed=f"could not set the sandbox up: {problem}")
        return
    # The program's pid as the init sees it; the same number here unless it has its own namespace.
    program = int(read_line(status_fd) or 0)
    select.select([status_fd, job.lifeline_fd], [], [])
    is_over = bool(select.select([status_fd], [], [], 0)[0])
    ended = json.loads((is_over and read_line(status_fd)) or "{}")
    if program and not is_over and not ground.entered & CLONE_NEWPID:
        kill(program)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program, signal.SIGKILL)
    kill(init)
    os.waitpid(init, 0)
    report(job, is_over=is_over, is_clean=sweep(), **ended)


def read_line(fd: int) -> str:
    """Read up to the next newline, or the end."""
    line = b""
    while (byte := os.read(fd, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode()


def sweep() -> bool:
    """Kill every descendant; returns whether none is left.

    This process is their subreaper: an orphan becomes its child whatever session it is in, so the
    loop ends when there is no child to wait for. Elsewhere its group was all there is to kill.
    """
    deadline = time.monotonic() + SWEEP_S
    while time.monotonic() < deadline:
        for pid in descendants():
            kill(pid)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return sys.platform == "linux"
        time.sleep(0.001)
    return False


def descendants() -> set[int]:
    """Return the pids of this process's children, their children and so on, from /proc."""
    if sys.platform != "linux":
        return set()
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The name, in parentheses, can hold anything; the parent is the second field after it.
            fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            parents[int(entry.name)] = int(fields[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}

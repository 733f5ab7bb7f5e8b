"""What is written down about a stage that hangs, before anything is done about it.

One text file per hang in the run's log directory: the stack of every rank, the state of its
process, the sensors of the machine, and the end of every log.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs.files import write_atomic
from runs.paths import RunPaths
from runs.supervision.process import (
    ProcessIdentity,
    command_line,
    find_family,
    identity_from,
    is_alive,
    send_signal,
)

STACK_WAIT_S = 2.0
PY_SPY_LIMIT_S = 10.0
LOG_LINES = 200
RANK_LOG_LINES = 50
_POLL_S = 0.05
_QUIET_S = 0.2


def stacks_file(paths: RunPaths, stage: str, attempt: int, rank: int) -> Path:
    """Return where a rank writes its stacks on SIGUSR1; the first line holds its identity.

    The file with that line is the rank's word that the signal will not end it.
    """
    return paths.log_dir(stage) / f"a{attempt}.r{rank}.stacks"


def write_autopsy(
    paths: RunPaths, run_id: str, stage: str, attempt: int, *, why: str, sensors: Mapping[str, Any]
) -> Path:
    """Write the autopsy of an attempt that hangs and return its path; nothing is ended here."""
    path = _free_name(paths.log_dir(stage), attempt)
    parts = [
        f"{stage}, attempt {attempt}: {why}\n{time.strftime('%Y-%m-%d %H:%M:%S %z')}",
        *_processes(run_id),
        *_stacks(paths, stage, attempt),
        _titled("machine", json.dumps(sensors, indent=1)),
        *_logs(paths, stage, attempt),
    ]
    write_atomic(path, ("\n\n".join(parts) + "\n").encode("utf-8", errors="replace"))
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rank:
    """A rank that can be asked for its stacks, and how much its file held before."""

    name: str
    file: Path
    identity: ProcessIdentity
    size: int


def _processes(run_id: str) -> Iterator[str]:
    for member in find_family(run_id):
        lines = [command_line(member.pid), *_kernel_view(member.pid)]
        yield _titled(f"process {member.pid}", "\n".join(line for line in lines if line))
        if (dump := _py_spy(member.pid)) is not None:
            yield _titled(f"py-spy {member.pid}", dump)


def _kernel_view(pid: int) -> Iterator[str]:
    directory = Path(f"/proc/{pid}")
    try:
        status = (directory / "status").read_text(encoding="utf-8", errors="replace")
        yield from (
            line for line in status.splitlines() if line.startswith(("State", "VmRSS", "Threads"))
        )
        yield f"waits in: {(directory / 'wchan').read_text(encoding='ascii')}"
    except OSError:
        return


def _py_spy(pid: int) -> str | None:
    tool = shutil.which("py-spy")
    if tool is None:
        return None
    try:
        done = subprocess.run(
            [tool, "dump", "--pid", str(pid)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PY_SPY_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no answer: {error}"
    return done.stdout or done.stderr


def _stacks(paths: RunPaths, stage: str, attempt: int) -> Iterator[str]:
    asked = []
    for rank in _listening_ranks(paths, stage, attempt):
        send_signal(rank.identity, signal.SIGUSR1)
        asked.append(rank)
    for rank in asked:
        title = f"stacks of {rank.name} (process {rank.identity.pid})"
        yield _titled(title, _await_dump(rank) or "no answer: the process does not run")
    if not asked:
        yield _titled("stacks", "no rank of this attempt can be asked for its stacks")


def _listening_ranks(paths: RunPaths, stage: str, attempt: int) -> Iterator[_Rank]:
    for file in sorted(paths.log_dir(stage).glob(f"a{attempt}.r*.stacks")):
        try:
            content = file.read_bytes()
            identity = identity_from(json.loads(content.split(b"\n", 1)[0]))
        except (OSError, ValueError, AttributeError):
            continue
        if identity is not None and is_alive(identity):
            name = f"rank {file.stem.split('.r')[-1]}"
            yield _Rank(name=name, file=file, identity=identity, size=len(content))


def _await_dump(rank: _Rank) -> str:
    """Return what the rank adds to its file, once it has been quiet for a moment."""
    deadline = time.monotonic() + STACK_WAIT_S
    dump, changed_s = b"", time.monotonic()
    while time.monotonic() < deadline:
        seen = rank.file.read_bytes()[rank.size :]
        if seen != dump:
            dump, changed_s = seen, time.monotonic()
        elif dump and time.monotonic() - changed_s > _QUIET_S:
            break
        time.sleep(_POLL_S)
    return dump.decode("utf-8", errors="replace").strip()


def _logs(paths: RunPaths, stage: str, attempt: int) -> Iterator[str]:
    yield _titled("log", _tail(paths.worker_log(stage, attempt), LOG_LINES))
    of_ranks = paths.log_dir(stage) / f"a{attempt}"
    for file in sorted(of_ranks.rglob("*.log")):
        name = file.relative_to(of_ranks)
        yield _titled(f"log {name}", _tail(file, RANK_LOG_LINES))


def _tail(path: Path, num_lines: int) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return "".join(deque(stream, maxlen=num_lines)).rstrip() or "(empty)"
    except OSError:
        return "(none)"


def _titled(title: str, body: str) -> str:
    return f"== {title} ==\n{body}"


def _free_name(directory: Path, attempt: int) -> Path:
    number = 1
    while (path := directory / f"a{attempt}.stall-{number}.txt").exists():
        number += 1
    return path

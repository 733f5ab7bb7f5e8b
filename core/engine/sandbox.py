"""`run_code`: runs Python that a model wrote, in a process with limits. Torch-free.

This limits accidents and casual hostility. It is no security boundary: the program shares the
kernel with everything else, may read the files that its user may read and connect to Unix sockets
by their path, and a determined attacker with a kernel bug gets out. Run code of people you distrust
in a virtual machine.

Everywhere: a fresh interpreter (`-I -S -B`: the standard library alone) in a fresh directory that
is deleted afterwards, an environment of PATH and a tag, no input but what is given, limits per
process on CPU time, address space, file size and open files, a limit on the number of processes,
and bounded output: the caller's memory does not grow with what the program prints.

Linux with user namespaces adds: no network; its own process ids, so that ending the first process
ends all of them, whatever they did to their session; every file read-only but those of the
directory, which is memory of at most `file_bytes`. Root becomes another user for the program, with
the right to read root's files where the interpreter lies among them.

Linux without them: the guard process is the subreaper of everything the program starts, and kills
until nothing is left. A program of the same user can kill the guard first; its processes are then
looked for by the tag, which they can take off. macOS: the process group is killed, and what left it
survives; memory may not be limited. This part is written for macOS and not tested on it.

`Outcome.isolation` and `Outcome.missing` say which of this held for a run.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from runs.errors import LabError, UsageError

# In the environment of every process of a run: the caller's pid and a random number.
TAG = "LABCLI_SANDBOX"
PATH = "/usr/bin:/bin"
# An isolated interpreter finds the standard library alone; this shows it the guard as well.
GUARD = f"""
import sys
sys.path.append({str(Path(__file__).parents[2])!r})
from core.engine.sandbox_guard import main
main()
"""
# Time for the guard to make its namespaces, and to end everything, on a busy machine.
START_S, STOP_S = 20.0, 10.0
CHUNK_BYTES = 65536


class SandboxFailed(LabError):
    """The sandbox, not the program in it, could not do its work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a program may take.

    CPU time and memory are per process, output is per stream; `file_bytes` is the largest file, and
    all files together where the mount namespace is in force. `num_processes` counts threads too.
    """

    cpu_s: int = 5
    wall_s: float = 5.0
    memory_bytes: int = 512 << 20
    output_bytes: int = 64 << 10
    file_bytes: int = 16 << 20
    num_processes: int = 8
    num_files: int = 64

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise UsageError(f"limit {name} is {value}; give a positive, finite number")


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a program ended.

    `error` is the exception line of its last traceback. `exit_code` and `signal` are both None when
    the sandbox ended it, or cannot know. `is_timeout` covers wall and CPU time; `is_out_of_memory`
    is an uncaught MemoryError. The path of the program's directory is removed from `stderr`.
    """

    is_success: bool
    stdout: str
    stderr: str
    error: str | None
    is_timeout: bool
    is_out_of_memory: bool
    is_output_cut: bool
    exit_code: int | None
    signal: int | None
    isolation: tuple[str, ...]
    missing: tuple[str, ...]


def run_code(
    code: str, *, stdin: str = "", limits: Limits = DEFAULT_LIMITS, use_namespaces: bool = True
) -> Outcome:
    """Run a program to its end or its limits; blocks, and may be called from many threads at once.

    `use_namespaces=False` does without them, as on a system that allows none.
    """
    if os.name != "posix":
        raise UsageError("the sandbox runs on Linux and macOS only; run this on one of them")
    directory = Path(tempfile.mkdtemp(prefix="labcli-code-")).resolve()
    try:
        # Not valid UTF-8 when the code holds lone surrogates: the program's SyntaxError, not ours.
        (directory / "program.py").write_bytes(code.encode("utf-8", "surrogatepass"))
        with tempfile.TemporaryFile() as given:
            given.write(stdin.encode("utf-8", "surrogatepass"))
            given.seek(0)
            seen = _run(directory, given, limits, use_namespaces)
        return _outcome(seen, directory, limits)
    finally:
        _remove(directory)


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What has come out of a running program so far; one thread's own."""

    streams: dict[str, bytearray] = field(
        default_factory=lambda: {name: bytearray() for name in ("stdout", "stderr", "report")}
    )
    is_output_cut: bool = False
    is_out_of_time: bool = False

    def reports(self) -> Iterator[dict[str, object]]:
        """Return the complete lines of the guard's report."""
        lines = self.streams["report"].split(b"\n")[:-1]
        return (json.loads(line) for line in lines)

    def says(self, name: str) -> object:
        """Return the last value reported under this name, None when there is none."""
        return next((line[name] for line in reversed([*self.reports()]) if name in line), None)

    def all_of(self, name: str) -> tuple[str, ...]:
        """Return every word of the lists reported under this name."""
        return tuple(word for line in self.reports() for word in _words(line.get(name)))

    def take(self, name: str, data: bytes, output_bytes: int) -> None:
        """Keep what fits of a stream."""
        stream = self.streams[name]
        room = len(data) if name == "report" else output_bytes - len(stream)
        stream += data[:room]
        self.is_output_cut |= len(data) > room


def _words(value: object) -> list[str]:
    return [str(word) for word in value] if isinstance(value, list) else []


def _run(directory: Path, given: IO[bytes], limits: Limits, use_namespaces: bool) -> _Seen:
    """Start the guard, watch it, and leave no process behind however this ends."""
    tag = f"{os.getpid()}-{secrets.token_hex(16)}"
    report_fd, report_end = os.pipe()
    lifeline_end, lifeline_fd = os.pipe()
    job = {
        "report_fd": report_end,
        "lifeline_fd": lifeline_end,
        "cpu_s": limits.cpu_s,
        "memory_bytes": limits.memory_bytes,
        "file_bytes": limits.file_bytes,
        "num_processes": limits.num_processes,
        "num_files": limits.num_files,
        "use_namespaces": use_namespaces,
    }
    options = ["-I", "-S", "-B", "-X", "utf8"]
    seen = _Seen()
    with os.fdopen(report_fd, "rb", 0) as report, os.fdopen(lifeline_fd, "wb", 0) as lifeline:
        try:
            process = subprocess.Popen(
                [sys.executable, *options, "-c", GUARD, json.dumps(job)],
                cwd=directory,
                env={"PATH": PATH, TAG: tag},
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(report_end, lifeline_end),
                start_new_session=True,
            )
        finally:
            os.close(report_end)
            os.close(lifeline_end)
        with process:
            try:
                _watch(process, report, lifeline, seen, limits)
            finally:
                lifeline.close()
                _end(process, seen, tag)
    return seen


def _watch(
    process: subprocess.Popen[bytes],
    report: IO[bytes],
    lifeline: IO[bytes],
    seen: _Seen,
    limits: Limits,
) -> None:
    """Read until the guard ends, closing the lifeline when the program has had enough.

    Returns early when the guard does not end in time: the caller kills it.
    """
    assert process.stdout is not None and process.stderr is not None
    sources = {"stdout": process.stdout, "stderr": process.stderr, "report": report}
    is_running = False
    deadline = time.monotonic() + START_S
    with selectors.DefaultSelector() as selector:
        for name, source in sources.items():
            os.set_blocking(source.fileno(), False)
            selector.register(source, selectors.EVENT_READ, name)
        while report in [key.fileobj for key in selector.get_map().values()]:
            for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                data = os.read(key.fd, CHUNK_BYTES)
                seen.take(key.data, data, limits.output_bytes)
                if not data:
                    selector.unregister(key.fileobj)
            if not is_running and seen.says("is_ready"):
                is_running = True
                deadline = time.monotonic() + limits.wall_s
            is_late = time.monotonic() >= deadline
            if lifeline.closed and is_late:
                return
            if not lifeline.closed and (is_late or seen.is_output_cut):
                seen.is_out_of_time = is_late and is_running
                lifeline.close()
                deadline = time.monotonic() + STOP_S
        for key in list(selector.get_map().values()):
            _drain(key.fd, key.data, seen, limits)


def _drain(fd: int, name: str, seen: _Seen, limits: Limits) -> None:
    """Read what the ended program left in a pipe."""
    with contextlib.suppress(BlockingIOError):
        while (data := os.read(fd, CHUNK_BYTES)) and not seen.is_output_cut:
            seen.take(name, data, limits.output_bytes)


def _end(process: subprocess.Popen[bytes], seen: _Seen, tag: str) -> None:
    """Wait for the guard, or kill it; look for what it left where it could not tell."""
    try:
        process.wait(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    deadline = time.monotonic() + STOP_S
    while not seen.says("is_clean") and time.monotonic() < deadline:
        left = find_processes(tag)
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def find_processes(tag: str) -> list[int]:
    """Return the living processes of the runs whose tag begins like this (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{TAG}={tag}".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def _outcome(seen: _Seen, directory: Path, limits: Limits) -> Outcome:
    """Turn what was seen into the answer; raises SandboxFailed when the program never ran."""
    stdout, stderr = (_text(seen.streams[name]) for name in ("stdout", "stderr"))
    failed = seen.says("failed")
    if failed or not seen.says("is_ready"):
        failed = failed or _last(stderr) or "its guard said nothing"
        raise SandboxFailed(f"the sandbox did not start: {failed}; nothing was run")
    status, used_cpu_s = seen.says("status"), seen.says("used_cpu_s")
    exit_code = status if isinstance(status, int) and status >= 0 else None
    number = -status if isinstance(status, int) and status < 0 else None
    is_cpu_spent = number == signal.SIGXCPU or (
        number == signal.SIGKILL and isinstance(used_cpu_s, float) and used_cpu_s >= limits.cpu_s
    )
    is_over = seen.says("is_over")
    missing = seen.all_of("missing")
    if is_over is None:
        missing += ("the program ended its guard: how it ended is not known",)
    stderr = stderr.replace(f"{directory}{os.sep}", "")
    error = _exception_line(stderr)
    is_timeout = (seen.is_out_of_time and not is_over) or is_cpu_spent
    return Outcome(
        is_success=exit_code == 0 and not is_timeout and not seen.is_output_cut,
        stdout=stdout,
        stderr=stderr,
        error=error if exit_code else None,
        is_timeout=is_timeout,
        is_out_of_memory=bool(exit_code) and error is not None and error.startswith("MemoryError"),
        is_output_cut=seen.is_output_cut,
        exit_code=exit_code,
        signal=number,
        isolation=seen.all_of("isolation"),
        missing=missing,
    )


def _text(data: bytes | bytearray) -> str:
    return data.decode("utf-8", "replace")


def _last(text: str) -> str | None:
    lines = text.strip().splitlines()
    return lines[-1] if lines else None


def _exception_line(stderr: str) -> str | None:
    """Return the first line that is not indented after the last frame of the last traceback."""
    frames = list(re.finditer(r'^(?:Traceback \(most recent call last\):|  File ")', stderr, re.M))
    if not frames:
        return None
    rest = stderr[frames[-1].end() :].splitlines()[1:]
    return next((line for line in rest if line and not line.startswith(" ")), None)


def _remove(directory: Path) -> None:
    """Delete the directory, also when the program took its own rights away or nested it deeply."""
    # rmtree recurses, and holds a descriptor open per level.
    with contextlib.suppress(RecursionError):
        shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*command, "--", str(directory)], capture_output=True, check=False)
    if directory.exists():
        raise SandboxFailed(f"{directory} cannot be deleted; delete it by hand")

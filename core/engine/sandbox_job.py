"""What the guard of a sandboxed program is asked, and how it answers. Standard library alone.

It reports JSON objects, one per line; `sandbox.py` merges them.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

PROGRAM = "program.py"


class Job(NamedTuple):
    """What the caller asks for: sizes in bytes, times in seconds."""

    report_fd: int
    lifeline_fd: int
    cpu_s: int
    memory_bytes: int
    file_bytes: int
    num_processes: int
    num_files: int
    use_namespaces: bool


class Ground(NamedTuple):
    """What the program will stand on.

    `entered` is the sum of the CLONE flags in force. `uid` is the user it changes to, None to stay.
    """

    entered: int
    uid: int | None


def report(job: Job, **words: object) -> None:
    """Send a line to the caller; the pipe is gone only when the caller is."""
    with contextlib.suppress(BrokenPipeError):
        os.write(job.report_fd, json.dumps(words).encode() + b"\n")


def is_open_to_all() -> bool:
    """Tell whether any user can read the interpreter, its library and the working directory."""
    python = Path(sys.executable)
    roots = [python, python.resolve(), Path(sys.base_prefix), Path.cwd()]
    return all(path.stat().st_mode & 1 for root in roots for path in (root, *root.parents))

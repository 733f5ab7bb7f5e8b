"""Building step.cpp and judge.cpp once per machine: 3 seconds with g++, then a file to load.

The result lies in $XDG_CACHE_HOME/labcli (~/.cache/labcli) under a name made of the source, the
compiler's settings and the CPU, so that a change of any of them builds anew.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from core import hardware

SOURCES = tuple(Path(__file__).with_name(name) for name in ("step.cpp", "judge.cpp", "vectors.h"))
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fPIC", "-shared", "-fopenmp", "-fno-math-errno",
         "-Wno-psabi")  # fmt: skip
TIMEOUT_S = 120


@cache
def compiled() -> ctypes.CDLL | None:
    """Return the compiled step, or None where there is no compiler or it cannot build it."""
    if not hardware.has_compiler():
        return None
    try:
        return ctypes.CDLL(str(_built(_directory())))
    except (OSError, RuntimeError, subprocess.SubprocessError):
        return None


def _directory() -> Path:
    directory = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "labcli"
    # Code is loaded from here: nobody else may write to it.
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if directory.stat().st_uid != os.getuid():
        raise PermissionError(f"{directory} belongs to somebody else")
    return directory


def _built(directory: Path) -> Path:
    compiler = os.environ.get("CXX", "g++")
    machine = (compiler, *FLAGS, hardware.cpu_name(), *sorted(hardware.cpu_flags()))
    digest = hashlib.sha256("\n".join(machine).encode())
    for source in SOURCES:
        digest.update(source.read_bytes())
    target = directory / f"step-{digest.hexdigest()[:16]}.so"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            made = Path(scratch) / target.name
            sources = [str(source) for source in SOURCES if source.suffix == ".cpp"]
            words = [compiler, *FLAGS, *sources, "-o", str(made)]
            subprocess.run(words, check=True, capture_output=True, timeout=TIMEOUT_S)
            # Processes that build at the same time each put a whole file here.
            made.replace(target)
    return target

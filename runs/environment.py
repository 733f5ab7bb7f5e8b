"""Where a run came from: the commit and its diff, package versions, and the machine."""

from __future__ import annotations

import os
import platform
import re
import socket
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

MAX_DIFF_BYTES = 1_000_000
_GIT_TIMEOUT_S = 5.0
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_PACKAGES = (
    "labcli", "torch", "tiktoken", "pyarrow", "duckdb", "numpy", "safetensors", "typer", "rich",
    "textual", "psutil", "nvidia-ml-py",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class GitState:
    """The commit that was checked out, and what the working tree held beyond it."""

    sha: str | None
    branch: str | None
    is_dirty: bool
    diff: bytes | None

    def as_record(self, diff_path: str | None) -> dict[str, Any]:
        """Return what run.json keeps; the diff itself is a file beside it."""
        return {
            "sha": self.sha,
            "branch": self.branch,
            "is_dirty": self.is_dirty,
            "diff_path": diff_path,
        }


def source_dir() -> Path:
    """Return the tree whose commit matters: ours in a checkout, else the current directory."""
    package = Path(__file__).resolve().parent.parent
    return Path.cwd() if package.name in ("site-packages", "dist-packages") else package


def capture_git(directory: Path) -> GitState:
    """Return the state of the repository around `directory`; without git all is None."""
    status = _git(directory, "status", "--porcelain")
    if status is None:
        return GitState(sha=None, branch=None, is_dirty=False, diff=None)
    sha = _git(directory, "rev-parse", "HEAD")
    branch = _git(directory, "branch", "--show-current")
    diff = _git(directory, "diff", "HEAD") if sha and status else None
    if diff and len(diff) > MAX_DIFF_BYTES:
        diff = diff[:MAX_DIFF_BYTES] + b"\n[cut: the diff is longer than 1 MB]\n"
    return GitState(
        sha=sha.decode().strip() if sha else None,
        branch=(branch or b"").decode(errors="replace").strip() or None,
        is_dirty=bool(status),
        diff=diff or None,
    )


def commit_diff(directory: Path, old: str, new: str) -> bytes | None:
    """Return what changed between two commits; None where this repository lacks one of them."""
    if any(not _COMMIT.fullmatch(name) for name in (old, new)):
        return None
    return _git(directory, "diff", "--no-color", "--no-ext-diff", old, new)


def package_versions() -> dict[str, str]:
    """Return the installed version of every package that labcli depends on."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def host_facts() -> dict[str, Any]:
    """Return the machine: hostname, platform, cpu, num_cpus, memory_bytes and gpus."""
    import psutil

    return {
        "hostname": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu": _cpu_name(),
        "num_cpus": os.cpu_count() or 1,
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": _gpus(),
    }


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2] for line in text.splitlines() if line.startswith("model name")]
    return names[0].strip() if names else platform.machine()


def _gpus() -> list[dict[str, Any]]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        return [
            {
                "name": str(pynvml.nvmlDeviceGetName(handle)),
                "uuid": str(pynvml.nvmlDeviceGetUUID(handle)),
                "memory_bytes": int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
            }
            for handle in handles
        ]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _git(directory: Path, *arguments: str) -> bytes | None:
    # Without the optional lock a background `git status` never blocks a commit of the user.
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_GIT_TIMEOUT_S,
            env=env,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None

"""The source that a queued run starts from: copied when it is queued, once per content.

In a checkout the packages are copied, changes and new files included, so that editing them does
not change what waits. An installed wheel does not change under a run; its version is recorded.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs.errors import LabError, UsageError
from runs.files import sync_dir, write_synced
from runs.paths import LabHome, RunPaths

PACKAGES = ("labcli", "tui", "core", "runs")
# Compiled, so git ignores it; without it the copy could not be imported.
_COMPILED = "core/_bpe*.so"
MAX_BYTES = 64 * 1024**2
MAX_FILES = 10_000
_GIT_TIMEOUT_S = 10.0
_HASH_CHARS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a run's code is: the files of a checkout, or the version of an installed wheel."""

    files: Mapping[str, bytes]
    version: str | None = None

    @property
    def hash(self) -> str:
        """Names the content of the files, and their place in the snapshots."""
        digest = hashlib.sha256()
        for path, content in sorted(self.files.items()):
            digest.update(f"{path}\0{hashlib.sha256(content).hexdigest()}\n".encode())
        return digest.hexdigest()[:_HASH_CHARS]

    def to_json(self) -> dict[str, Any]:
        """Return what run.json keeps."""
        if not self.files:
            return {"kind": "installed", "version": self.version}
        size = sum(map(len, self.files.values()))
        return {
            "kind": "snapshot",
            "hash": self.hash,
            "num_files": len(self.files),
            "num_bytes": size,
        }


def describe(source: Mapping[str, Any]) -> str:
    """Return in a few words which code a run starts from."""
    match source.get("kind"):
        case "snapshot":
            mib = float(source["num_bytes"]) / 1024**2
            return f"snapshot {source['hash'][:8]} ({source['num_files']} files, {mib:.1f} MiB)"
        case "installed":
            return f"labcli {source.get('version')} as installed"
    return "as it is when a stage starts"


def read_source(home: LabHome, root: Path | None = None) -> Source:
    """Return the source that is imported now; nothing of the lab home is ever part of it.

    Raises:
        UsageError: the packages hold more than a snapshot may.
    """
    root = root or Path(__file__).resolve().parents[2]
    if root.name in ("site-packages", "dist-packages"):
        # A tenth of what a listing would import, which only describes a source.
        from importlib import metadata

        return Source(files={}, version=metadata.version("labcli"))
    files: dict[str, bytes] = {}
    left = MAX_BYTES
    for name in sorted({*_listed(root), *_compiled(root)}):
        path = root / name
        if not path.is_file() or path.resolve().is_relative_to(home.root.resolve()):
            continue
        left -= path.stat().st_size
        if left < 0 or len(files) >= MAX_FILES:
            raise UsageError(
                f"the packages in {root} hold more than {MAX_BYTES >> 20} MiB or {MAX_FILES} "
                "files, too much to copy for a queued run; let git ignore what is no source"
            )
        files[name] = path.read_bytes()
    return Source(files=files)


def store(home: LabHome, source: Source) -> Mapping[str, Any]:
    """Copy a source into the lab home, unless it is there, and return what run.json keeps."""
    kept = source.to_json()
    if not source.files or (home.snapshots_dir / source.hash).is_dir():
        return kept
    aside = home.snapshots_dir / f".{source.hash}.{os.getpid()}.tmp"
    try:
        for name, content in source.files.items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            write_synced(aside / name, content)
        if not (home.snapshots_dir / source.hash).is_dir():
            aside.rename(home.snapshots_dir / source.hash)
        sync_dir(home.snapshots_dir)
    except OSError as error:
        raise LabError(
            f"cannot copy the source to {home.snapshots_dir}: {error.strerror}; free some space"
        ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return kept


def snapshot_dir(paths: RunPaths, source: Mapping[str, Any]) -> Path | None:
    """Return the directory that the workers of a run import from; None: what is installed."""
    if source.get("kind") != "snapshot":
        return None
    return paths.home.snapshots_dir / str(source.get("hash"))


def _listed(root: Path) -> Iterator[str]:
    """Yield the files of the packages that git knows or would add; without git, all of them."""
    listing = _git_files(root)
    if listing is not None:
        yield from listing
        return
    for package in PACKAGES:
        for path in (root / package).rglob("*"):
            if "__pycache__" not in path.parts:
                yield str(path.relative_to(root))


def _git_files(root: Path) -> list[str] | None:
    words = ["git", "-C", str(root), "ls-files", "-coz", "--exclude-standard", "--", *PACKAGES]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    names = [name for name in done.stdout.decode(errors="surrogateescape").split("\0") if name]
    return names if done.returncode == 0 and names else None


def _compiled(root: Path) -> Iterator[str]:
    for path in root.glob(_COMPILED):
        yield str(path.relative_to(root))

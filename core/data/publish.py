"""Directories under the lab home's data/ that several runs share: one builder, many readers.

A directory is built aside, under a name that nobody reads, and renamed when it is complete.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.files import sync_path

_BUILDING = ".building-"


class DataLock:
    """The lock of a data directory; the system frees it when its holder dies."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._fd: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it, and clear what a killed builder left behind."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._data_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        for leftover in self._data_dir.glob(f"{_BUILDING}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        return True

    def __enter__(self) -> DataLock:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


@contextmanager
def building_directory(data_dir: Path) -> Iterator[Path]:
    """Yield an empty directory beside the shared ones; whatever is left of it is removed."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=data_dir))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def publish(built: Path, final: Path) -> None:
    """Make a built directory visible under its final name, durably; a damaged one yields."""
    built.chmod(0o755)
    for file in built.iterdir():
        sync_path(file)
    sync_path(built)
    if final.exists():
        with building_directory(final.parent) as aside:
            final.rename(aside / final.name)
            built.rename(final)
    else:
        built.rename(final)
    sync_path(final.parent)

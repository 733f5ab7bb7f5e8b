"""Files that appear whole or not at all. Torch-free."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file durably: readers see the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        aside.write_bytes(content)
        sync_path(aside)
        aside.replace(path)
    except BaseException:
        # Ctrl-C among them: it leaves nothing half written behind.
        aside.unlink(missing_ok=True)
        raise
    sync_path(path.parent)


def remove_left_overs(directory: Path) -> None:
    """Remove what a kill has left of files that were being replaced in a directory.

    Only for who alone writes there: another's file would be lost on its way.
    """
    for left in directory.glob(".*.partial"):
        left.unlink(missing_ok=True)


def sync_path(path: Path) -> None:
    """Put a file, or the names in a directory, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

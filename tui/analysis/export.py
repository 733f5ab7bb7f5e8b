"""Where a comparison may be written, and writing it."""

from __future__ import annotations

from pathlib import Path

from core.files import replace_file
from runs.errors import UsageError


def check_path(text: str) -> None:
    """Check a path as it was typed.

    Raises:
        UsageError: a file is there, or its directory is not.
    """
    path = Path(text).expanduser()
    if not text:
        raise UsageError("type where to write it")
    if path.exists():
        raise UsageError(f"{path.name} is there already; give another name")
    if not path.parent.is_dir():
        raise UsageError(f"there is no directory {path.parent}")


def write_export(path: Path, text: str) -> None:
    """Write an exported comparison whole, to a file that is not there yet.

    Raises:
        UsageError: it is there, or cannot be written.
    """
    if path.exists():
        raise UsageError(f"{path} is there already; give another name")
    try:
        replace_file(path, text.encode("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from None

"""Files that others read are replaced whole: a reader sees the old content or the new."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runs.errors import Corrupt


def write_synced(path: Path, content: bytes) -> None:
    """Write a file that nobody reads yet and put it on disk; a rename then shows it to others."""
    with open(path, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def write_json(path: Path, body: Mapping[str, Any]) -> None:
    """Replace `path` by a JSON object, readable by people."""
    text = json.dumps(body, indent=1, ensure_ascii=False)
    write_atomic(path, text.encode("utf-8", errors="replace") + b"\n")


def write_atomic(path: Path, content: bytes) -> None:
    """Replace `path` by `content`: written aside, put on disk, then renamed."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_synced(aside, content)
        aside.replace(path)
    finally:
        # Whatever went wrong, Ctrl-C among it; after the rename there is nothing left.
        aside.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`, or raise Corrupt; a missing file is an OSError."""
    try:
        body = json.loads(path.read_bytes())
    except ValueError:
        raise Corrupt(f"{path} is not valid JSON; restore it or remove its run") from None
    if not isinstance(body, dict):
        raise Corrupt(f"{path} does not hold a JSON object; restore it or remove its run")
    return body


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync_dir(path: Path) -> None:
    """Put the names in a directory on disk, so that a rename survives a power loss."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

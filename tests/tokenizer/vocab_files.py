"""Vocabulary files for tests."""

from __future__ import annotations

from pathlib import Path


def write(tmp_path: Path, name: str, content: bytes) -> Path:
    """Write a file and return its path."""
    path = tmp_path / name
    path.write_bytes(content)
    return path

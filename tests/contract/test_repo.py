"""What the repository may hold."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP_LEVEL = {
    "labcli", "core", "runs", "rustbpe", "tui", "tests",
    "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md",
}  # fmt: skip
LOCK_FILES = {"uv.lock", "Cargo.lock", "poetry.lock", "pdm.lock", "Pipfile.lock"}


def tracked_files() -> list[str]:
    """Return the files that git tracks; skips where this is not a git checkout."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in done.stdout.split("\0") if name]


def test_no_lock_file_is_tracked() -> None:
    assert [name for name in tracked_files() if Path(name).name in LOCK_FILES] == []


def test_top_level_holds_only_what_belongs_there() -> None:
    names = {Path(name).parts[0] for name in tracked_files()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def test_ignore_patterns_are_anchored() -> None:
    # The wheel is built from what git does not ignore: a loose pattern can empty a package.
    lines = (ROOT / ".gitignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in patterns if not line.startswith("/") and line != "__pycache__/"] == []


def test_source_is_ascii_outside_the_glyph_table() -> None:
    packages = ("labcli", "core", "runs", "tui")
    files = [path for name in packages for path in (ROOT / name).rglob("*.py")]
    loud = [path for path in files if not path.read_bytes().isascii()]
    assert [str(path) for path in loud if path.name != "glyphs.py"] == []

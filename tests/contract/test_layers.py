"""The import contracts of pyproject.toml hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_layers_point_down() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_package_init_files_are_empty() -> None:
    packages = ("labcli", "tui", "core", "runs")
    files = [path for name in packages for path in (ROOT / name).rglob("__init__.py")]
    # What stands in for another package has its names where a script looks for them.
    ours = [path for path in files if path.parent.parent.name != "shim"]
    assert [str(path) for path in ours if path.read_text().strip()] == []

"""A built wheel holds the files that are not Python: recipes, styles, the schema, the extension."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("labcli", "core", "runs", "tui")
DATA_SUFFIXES = {".toml", ".tcss", ".sql", ".html", ".css", ".js", ".txt", ".cpp", ".h"}


def build_command(out: Path) -> list[str]:
    """Return the command that builds a wheel with what is installed; skips where nothing is."""
    if shutil.which("cargo") is None:
        pytest.skip("no cargo")
    if importlib.util.find_spec("maturin") is not None:
        # The debug profile: the names in the wheel are the same, and it builds much faster.
        return [sys.executable, "-m", "maturin", "build", "--profile", "dev", "--out", str(out)]
    if shutil.which("uv") is not None:
        return ["uv", "build", "--wheel", "--out-dir", str(out)]
    pytest.skip("neither maturin nor uv")


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    out = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(build_command(out), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("labcli-*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.timeout(600)
def test_wheel_holds_every_module_and_data_file(wheel_names: set[str]) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", *DATA_SUFFIXES} and "__pycache__" not in path.parts
    }
    assert wanted - wheel_names == set()


@pytest.mark.timeout(600)
def test_wheel_holds_the_extension_and_the_script(wheel_names: set[str]) -> None:
    assert any(name.startswith("core/_bpe.") and name.endswith(".so") for name in wheel_names)
    assert any(name.endswith(".dist-info/entry_points.txt") for name in wheel_names)


@pytest.mark.timeout(600)
def test_wheel_holds_nothing_else(wheel_names: set[str]) -> None:
    roots = {name.split("/")[0] for name in wheel_names}
    foreign = {root for root in roots if root not in PACKAGES and ".dist-info" not in root}
    assert foreign - {"labcli.libs"} == set()

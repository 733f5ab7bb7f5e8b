"""The type stub of the extension module."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from core import _bpe

ROOT = Path(str(_bpe.__file__)).parents[1]


def test_the_stub_says_what_the_extension_has() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "core._bpe"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr

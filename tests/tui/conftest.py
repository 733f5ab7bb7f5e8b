"""What tests of several screens share: a lab home with models, a server over it, a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runs.paths import LabHome
from tests.serve.builders import start_server
from tests.tui.answering import build_lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> LabHome:
    return build_lab(tmp_path_factory.mktemp("answering") / "lab")


@pytest.fixture(scope="session")
def socket(lab: LabHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("s") / "s"
    started = start_server(lab, "--uds", str(path), "--grace", "0", "--model", "tiny:mid")
    try:
        started.wait_ready()
        yield path
    finally:
        started.close()


@pytest.fixture
def bystander() -> Iterator[int]:
    """A process that a run may take for its own, and may signal."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process.pid
    process.kill()
    process.wait()

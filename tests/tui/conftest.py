"""One lab home with models and one server over it, for all tests of screens that ask a model."""

from __future__ import annotations

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

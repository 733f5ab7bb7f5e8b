"""A lab home for each test; whatever a test started is gone when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runs.paths import LabHome
from tests.runs.builders import kill_everything


@pytest.fixture
def home(tmp_path: Path) -> Iterator[LabHome]:
    lab = LabHome(tmp_path / "lab")
    yield lab
    kill_everything(lab)

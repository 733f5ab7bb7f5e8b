"""What several journeys start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runs.paths import LabHome
from tests.core.builders import make_world
from tests.runs.builders import kill_everything


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, a tokenizer and conversations."""
    root = tmp_path_factory.mktemp("world")
    make_world(root)
    return root


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHome]:
    """A lab home whose processes are ended with the tests."""
    home = LabHome(tmp_path_factory.mktemp("home"))
    yield home
    kill_everything(home)

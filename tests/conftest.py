"""What holds for every test process, and for the processes that it starts."""

from __future__ import annotations

import os
import sys

import pytest

# Tests share the cores with each other and with the processes that they start: torch's threads
# must sleep between two operations instead of spinning. It is read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Half of what importing torch takes is compiling its source, in each of some hundred processes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The longest files, begun first: none of them is left alone at the end.
LONG = ("journeys", "torture")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent.name not in LONG)

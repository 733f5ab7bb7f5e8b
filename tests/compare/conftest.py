"""A lab home with a trained run, and labcli called in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs.paths import LabHome
from tests.cli.conftest import home, labcli
from tests.cli.talking import trained_run

__all__ = ["home", "labcli"]


@pytest.fixture
def trained(home: LabHome) -> Path:
    """The checkpoint of a finished run that made a tokenizer, a base and a chat model."""
    return trained_run(home)

"""A lab home of its own for every test, and labcli called in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from labcli.app import run_command
from runs.paths import LabHome


@dataclass(frozen=True)
class Result:
    """What one command line left behind."""

    code: int
    out: str
    err: str


Labcli = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabHome:
    root = tmp_path / "home"
    monkeypatch.setenv("LABCLI_HOME", str(root))
    monkeypatch.delenv("LABCLI_VERBOSE", raising=False)
    monkeypatch.setenv("TZ", "UTC")
    return LabHome(root)


@pytest.fixture
def labcli(home: LabHome, capsys: pytest.CaptureFixture[str]) -> Labcli:
    def call(*words: str) -> Result:
        capsys.readouterr()
        code = run_command(words)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call

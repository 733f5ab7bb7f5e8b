"""A lab home of its own for every test; whatever a test started is gone when it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcli.app import run_command
from runs.paths import LabHome
from runs.supervision.process import identify, send_signal
from tests.cli.conftest import Labcli, Result
from tests.runs.builders import kill_everything, wait_for


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabHome]:
    monkeypatch.setenv("LABCLI_HOME", str(tmp_path / "lab"))
    lab = LabHome(tmp_path / "lab")
    yield lab
    kill_runner(lab)
    kill_everything(lab)


@pytest.fixture
def labcli(home: LabHome, capsys: pytest.CaptureFixture[str]) -> Labcli:
    def call(*words: str) -> Result:
        capsys.readouterr()
        code = run_command(words)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


def runner_pid(home: LabHome) -> int:
    """Return the process id of the newest queue runner."""
    pid = 0

    def is_named() -> bool:
        nonlocal pid
        text = _lock_text(home)
        pid = int(text) if text.isdigit() else 0
        return pid > 0 and _is_runner(home, pid)

    wait_for(is_named, "the queue runner to start")
    return pid


def kill_runner(home: LabHome) -> bool:
    """Kill the queue runner of a lab home, if one is there, and wait for its end."""
    text = _lock_text(home)
    if not text.isdigit() or not _is_runner(home, int(text)):
        return False
    identity = identify(int(text))
    if identity is None or not send_signal(identity, signal.SIGKILL):
        return False
    wait_for(lambda: identify(identity.pid) != identity, "the queue runner to end")
    return True


def _lock_text(home: LabHome) -> str:
    path = home.queue_dir / "runner.lock"
    return path.read_text().strip() if path.exists() else ""


def _is_runner(home: LabHome, pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False
    return "queue_runner" in words and str(home.root) in words

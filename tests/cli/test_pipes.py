"""The console script in a process of its own, with pipes around it."""

from __future__ import annotations

import os
import subprocess
import sys

from runs.paths import LabHome
from tests.builders import build_finished_run

COMMAND = [sys.executable, "-m", "labcli.app"]


def environment(home: LabHome) -> dict[str, str]:
    """Return an environment in which the lab home is the test's."""
    return {**os.environ, "LABCLI_HOME": str(home.root)}


def test_data_and_narration_go_to_their_own_streams(home: LabHome) -> None:
    run = build_finished_run(home)
    done = subprocess.run(
        [*COMMAND, "runs", "tail", run.slug, "-n", "1"],
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.endswith("report end finished\n")
    assert "\x1b" not in done.stdout


def test_a_closed_pipe_is_quiet(home: LabHome) -> None:
    build_finished_run(home)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, "runs", "tail", "last", "--json"],
        env=environment(home),
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_closed_pipe_under_help_is_quiet(home: LabHome) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, "--help"], env=environment(home), stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    assert done.stderr == b""


def test_exit_code_reaches_the_shell(home: LabHome) -> None:
    done = subprocess.run(
        [*COMMAND, "runs", "show", "nothing"], env=environment(home), capture_output=True
    )
    assert done.returncode == 3

"""A command that fails leaves one line on stderr, nothing on stdout, and a documented code."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from labcli import tree
from runs.errors import Corrupt, ExitCode
from runs.paths import LabHome
from tests.builders import build_finished_run
from tests.cli.conftest import Labcli

FAILURES = [
    (["rum"], ExitCode.USAGE, "closest: 'run'"),
    (["runs", "lst"], ExitCode.USAGE, "closest: 'list'"),
    (["runs", "list", "--jsn"], ExitCode.USAGE, "--jsn"),
    (["runs", "list", "--json", "--csv"], ExitCode.USAGE, "--json, --csv exclude each other"),
    (["runs", "show"], ExitCode.USAGE, "RUN"),
    (["runs", "show", "no-such-run"], ExitCode.NOT_FOUND, "no-such-run"),
    (["runs", "tail", "no-such-run"], ExitCode.NOT_FOUND, "no-such-run"),
    (["runs", "logs", "no-such-run"], ExitCode.NOT_FOUND, "no-such-run"),
    (["runs", "stop", "no-such-run"], ExitCode.NOT_FOUND, "no-such-run"),
    (["runs", "resume", "no-such-run"], ExitCode.NOT_FOUND, "no-such-run"),
    (["run", "speedrnu"], ExitCode.USAGE, "closest: 'speedrun'"),
    (["run", "bsae"], ExitCode.USAGE, "'base'"),
    (["run", "./missing.toml"], ExitCode.USAGE, "missing.toml"),
    (["run", "speedrun", "--preset", "cppu"], ExitCode.USAGE, "closest: 'cpu'"),
    (["run", "speedrun", "--preset", "d20"], ExitCode.USAGE, "closest: 'classic-d20'"),
    (["run", "speedrun", "--set", "base.dpeth=2"], ExitCode.USAGE, "'depth'"),
    (["run", "speedrun", "--set", "bsae.depth=2"], ExitCode.USAGE, "'base'"),
    (["run", "speedrun", "--set", "base.depth=two"], ExitCode.USAGE, "'two'"),
    (["run", "speedrun", "--set", "base.depth"], ExitCode.USAGE, "stage.key=value"),
    (["run", "speedrun", "--only", "bsae"], ExitCode.USAGE, "'base'"),
    (["run", "speedrun", "--nproc", "0"], ExitCode.USAGE, "--nproc"),
    (["run", "base"], ExitCode.USAGE, "--from"),
    (["run", "base", "--until", "mid"], ExitCode.USAGE, "--only and --until"),
    (["run", "base", "--from", "no-such-run"], ExitCode.NOT_FOUND, "no-such-run"),
    (["run", "speedrun", "--tui"], ExitCode.USAGE, "terminal"),
    (["chat", "--top-k", "x"], ExitCode.USAGE, "'--top-k': it takes a whole number (see"),
    (["chat", "--top-k", "0"], ExitCode.USAGE, "'--top-k': the least is 1 (see"),
    (["chat", "--temperture", "1"], ExitCode.USAGE, "closest: --temperature (see"),
    (["chat", "hello"], ExitCode.USAGE, "unexpected argument: hello (see"),
    (["chat", "--seed", str(2**70)], ExitCode.USAGE, "--seed is at most"),
    (["--home", "/dev/null", "runs", "list"], ExitCode.USAGE, "/dev/null is not a directory"),
    (["tok", "decode", "abc"], ExitCode.USAGE, "give numbers"),
]


@pytest.mark.parametrize(
    ("words", "code", "hint"), FAILURES, ids=[" ".join(f[0]) for f in FAILURES]
)
def test_failure_is_one_line_with_the_right_code(
    labcli: Labcli, home: LabHome, words: list[str], code: ExitCode, hint: str
) -> None:
    build_finished_run(home, name="here")
    result = labcli(*words)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("labcli: error: ")
    assert result.err.count("\n") == 1
    assert hint in result.err


def test_failed_run_command_leaves_no_run_behind(labcli: Labcli, home: LabHome) -> None:
    labcli("run", "base", "--from", "last")
    labcli("run", "speedrun", "--set", "base.dpeth=2")
    assert not home.root.exists()


def test_unknown_stage_of_a_run_is_named_with_those_it_has(labcli: Labcli, home: LabHome) -> None:
    build_finished_run(home)
    result = labcli("runs", "logs", "last", "--stage", "bsae")
    assert result.code == ExitCode.NOT_FOUND
    assert "base" in result.err


@pytest.mark.parametrize("how", ["--detach", "--dry-run"])
def test_missing_checkpoint_of_the_parent_is_not_found(
    labcli: Labcli, home: LabHome, how: str
) -> None:
    build_finished_run(home)
    result = labcli("run", "sft", "--from", "last:mid@7", how)
    assert (result.code, result.out) == (ExitCode.NOT_FOUND, "")
    assert result.err.splitlines()[-1].startswith("labcli: error: ")


@pytest.mark.parametrize("words", [["--verbose", "runs", "list"], ["runs", "list", "--verbose"]])
def test_unexpected_error_shows_its_traceback_only_when_asked(
    labcli: Labcli, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    def explode(args: list[str]) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(tree, "_invoke", explode)
    quiet, loud = labcli("runs", "list"), labcli(*words)
    assert quiet.code == loud.code == ExitCode.FAILED
    assert quiet.err == (
        "labcli: error: ZeroDivisionError: by zero; run again with --verbose for the traceback\n"
    )
    assert "Traceback" in loud.err


def test_environment_asks_for_tracebacks_too(
    labcli: Labcli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(args: list[str]) -> None:
        raise Corrupt("broken")

    monkeypatch.setattr(tree, "_invoke", explode)
    monkeypatch.setenv("LABCLI_VERBOSE", "1")
    result = labcli("runs", "list")
    assert result.code == ExitCode.CORRUPT
    assert "Traceback" in result.err


def test_interrupt_is_130(labcli: Labcli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(args: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tree, "_invoke", interrupt)
    assert labcli("runs", "list").code == ExitCode.INTERRUPTED


def test_windows_gets_one_line(labcli: Labcli, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        result = labcli("runs", "list")
    assert (result.code, result.err.count("\n")) == (ExitCode.FAILED, 1)
    assert "WSL" in result.err


def test_an_interrupt_while_a_command_is_loaded_leaves_no_traceback() -> None:
    loading = """
import sys
from labcli.app import main
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "labcli.tree":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
main(["runs", "list"])
"""
    ended = subprocess.run([sys.executable, "-c", loading], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (ExitCode.INTERRUPTED, b"", b"")

"""What help says, and how it reads."""

from __future__ import annotations

import pytest
from typer.main import get_command

from labcli.commands.runs.app import COMMANDS as RUNS
from labcli.lazy import load
from labcli.root import COMMANDS, help_text
from labcli.tree import app
from tests.cli.conftest import Labcli

RUNS_COMMANDS = [
    "list", "show", "compare", "diff", "why", "tail", "logs", "stop", "resume", "adopt", "reap",
    "lineage", "alerts", "notify", "gc", "tag", "note", "rename", "rm", "restore", "export",
    "import", "sql", "reindex",
]  # fmt: skip


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_bare_command_and_help_list_every_command(labcli: Labcli, words: list[str]) -> None:
    result = labcli(*words)
    assert (result.code, result.err) == (0, "")
    for name, entry in COMMANDS.items():
        assert f"  {name}" in result.out
        assert entry.summary in result.out


@pytest.mark.parametrize("columns", [66, 72, 80, 200])
def test_root_help_is_what_typer_would_show(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    context = get_command(app).make_context("labcli", [], resilient_parsing=True)
    assert help_text(columns) == context.get_help()


def test_runs_help_lists_its_commands_in_order(labcli: Labcli) -> None:
    result = labcli("runs")
    shown = result.out[result.out.index("Commands:") :].splitlines()[1:]
    assert [line.split()[0] for line in shown] == RUNS_COMMANDS


@pytest.mark.parametrize("name", RUNS_COMMANDS)
def test_help_of_each_runs_command_starts_with_a_sentence(labcli: Labcli, name: str) -> None:
    long, short = labcli("runs", name, "--help"), labcli("runs", name, "-h")
    assert long == short
    assert long.out.startswith(f"Usage: labcli runs {name}")


def test_summaries_are_single_sentences() -> None:
    texts = [entry.summary for entry in (*COMMANDS.values(), *RUNS.values())]
    texts += [str(load(entry).help).splitlines()[0] for entry in RUNS.values()]
    assert [text for text in texts if not text.endswith(".") or not text[0].isupper()] == []


def test_version_is_data(labcli: Labcli) -> None:
    result = labcli("--version")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("labcli ")

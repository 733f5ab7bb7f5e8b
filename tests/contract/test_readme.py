"""Every labcli command that the README shows exists, with the options it is shown with."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from core.settings.training import BaseConfig, ChatTrainConfig
from labcli.lazy import LazyGroup, load
from labcli.root import COMMANDS, Entry
from labcli.tree import app

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def shown_commands() -> list[str]:
    """Return the labcli command lines in the README's shell blocks and inline code."""
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`((?:uv run )?labcli [^`\n]+)`", text)
    parts = [
        part.partition("#")[0].strip() for line in [*lines, *inline] for part in line.split("&&")
    ]
    commands = [part.removeprefix("uv run ") for part in parts]
    return list(dict.fromkeys(part for part in commands if part.startswith("labcli ")))


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that the words lead to, and the words left for it."""
    command: Any = get_command(app)
    assert words[0] in COMMANDS, f"no command {words[0]!r}"
    command, words = load(COMMANDS[words[0]]), words[1:]
    while isinstance(command, TyperGroup) and words:
        inner = command.table if isinstance(command, LazyGroup) else command.commands
        assert words[0] in inner, f"no command {words[0]!r}"
        entry = inner[words[0]]
        command, words = load(entry) if isinstance(entry, Entry) else entry, words[1:]
    return command, words


@pytest.mark.parametrize("line", shown_commands())
def test_command_in_readme_exists_with_its_options(line: str) -> None:
    command, words = find_command(shlex.split(line)[1:])
    known = {name for param in command.params for name in param.opts}
    used = [word.split("=")[0] for word in words if re.fullmatch(r"--?[a-z][\w-]*(=.*)?", word)]
    assert [name for name in used if name not in {*known, "--help"}] == []


def test_readme_has_the_two_set_up_commands() -> None:
    text = README.read_text(encoding="utf-8")
    assert "pip install uv && uv run labcli run speedrun" in text
    assert "uv run pytest" in text


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_readme_names_every_setting_of_training() -> None:
    text = README.read_text(encoding="utf-8")
    settings = {spec.name for kind in (BaseConfig, ChatTrainConfig) for spec in fields(kind)}
    missing = [name for name in sorted(settings) if not re.search(rf"`{name}[`=]", text)]
    assert missing == []

"""What may be loaded when, asked of fresh interpreters."""

from __future__ import annotations

import os
import pkgutil
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import core
import labcli
import runs
import tui

HEAVY = ("torch", "duckdb", "pyarrow", "numpy", "textual", "fastapi", "rich")
TORCH_FREE_CORE = (
    "config", "plan", "scaling", "schedule", "hardware", "tokenizer", "bpe", "_bpe", "chat_format",
    "planning.request",
    "vocab.exporting", "vocab.importing", "vocab.known", "vocab.live", "vocab.training",
    "inspection.apart", "inspection.compression", "inspection.conversation",
    "inspection.difference", "inspection.explained", "inspection.languages", "inspection.merges",
    "inspection.nearest", "inspection.samples", "inspection.usage", "inspection.visible",
    "inspection.apart", "inspection.difference", "inspection.evaluation", "inspection.tail",
    "experiments.selfchat.archive", "experiments.selfchat.cost", "experiments.selfchat.grid",
    "experiments.selfchat.journal", "experiments.selfchat.script", "experiments.selfchat.topics",
    "experiments.selfchat.token_table",
    "experiments.selfchat.transcript", "experiments.measures.summary", "experiments.report.export",
    "experiments.report.strips", "ticks", "experiments.compare.answers", "experiments.vibe.checks",
    "experiments.compare.prompts", "experiments.vibe.suite",
)  # fmt: skip
HELP_BUDGET_S = 0.12


def loaded_after(code: str, names: tuple[str, ...], home: Path) -> list[str]:
    """Return which of `names` a fresh interpreter has loaded after running `code`."""
    probe = (
        f"import sys\n{code}\nprint(*[n for n in {names!r} if n in sys.modules], file=sys.stderr)"
    )
    env = {**os.environ, "LABCLI_HOME": str(home), "HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", probe], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1].split()


def modules_of(package: str, path: list[str]) -> list[str]:
    """Return the names of all modules of a package."""
    found = [item.name for item in pkgutil.walk_packages(path, f"{package}.")]
    assert found
    return found


@pytest.mark.parametrize("words", [["--help"], ["--version"], []])
def test_root_commands_load_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    code = f"from labcli.app import run_command\nrun_command({words!r})"
    assert loaded_after(code, (*HEAVY, "psutil"), tmp_path / "home") == []


@pytest.mark.parametrize(
    "command",
    ["run", "runs", "tok", "chat", "compare", "selfchat", "serve", "scaling", "bench", "tui"],
)
def test_help_of_a_command_loads_no_torch_and_no_database(command: str, tmp_path: Path) -> None:
    code = f"from labcli.app import run_command\nassert run_command([{command!r}, '--help']) == 0"
    assert loaded_after(code, ("torch", "duckdb", "pyarrow"), tmp_path / "home") == []


def test_no_torch_free_part_of_core_loads_torch(tmp_path: Path) -> None:
    code = (
        f"import importlib, sys\nfor name in {TORCH_FREE_CORE!r}:\n"
        "    importlib.import_module('core.' + name)\n"
        "    assert 'torch' not in sys.modules, name"
    )
    assert loaded_after(code, ("torch",), tmp_path / "home") == []


@pytest.mark.parametrize("package", [runs, tui, labcli], ids=["runs", "tui", "labcli"])
def test_no_module_of_these_packages_loads_torch(package: object, tmp_path: Path) -> None:
    name, path = package.__name__, package.__path__  # type: ignore[attr-defined]
    imports = "\n".join(f"import {module}" for module in modules_of(name, list(path)))
    assert loaded_after(imports, ("torch",), tmp_path / "home") == []


def test_the_table_of_the_dashboard_is_there_before_what_draws_charts(tmp_path: Path) -> None:
    code = "import labcli.commands.tui, labcli.tok.catalogue, tui.app, tui.screens.dashboard"
    heavy = ("numpy", "httpx", "tiktoken", "tui.widgets.run_detail", "textual.widgets._text_area")
    assert loaded_after(code, heavy, tmp_path / "home") == []


def test_the_settings_can_name_every_key_before_its_view_is_opened(tmp_path: Path) -> None:
    code = (
        "from tui.views import VIEWS\nfrom tui.shell.keymap import binding_ids\nimport tui.app\n"
        "for view in VIEWS.values(): view.load_all()\nknown = binding_ids()\n"
    )
    every = "\n".join(f"import {module}" for module in modules_of("tui", list(tui.__path__)))
    rest = "\nmissing = binding_ids() - known\nassert not missing, missing"
    assert loaded_after(code + every + rest, ("torch",), tmp_path / "home") == []


def test_importing_runs_loads_no_database(tmp_path: Path) -> None:
    imports = "\n".join(f"import {module}" for module in modules_of("runs", list(runs.__path__)))
    assert loaded_after(imports, HEAVY, tmp_path / "home") == []


def test_importing_every_module_writes_nothing(tmp_path: Path) -> None:
    packages = (labcli, tui, core, runs)
    names = [name for item in packages for name in modules_of(item.__name__, list(item.__path__))]
    code = "\n".join(f"import {name}" for name in names)
    env = {**os.environ, "LABCLI_HOME": str(tmp_path / "home"), "HOME": str(tmp_path / "user")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, check=True
    )
    assert (done.stdout, list(tmp_path.iterdir())) == (b"", [])


def test_help_is_there_at_once() -> None:
    # Processor time and the best of ten: what a busy machine adds is not the command's doing.
    words = [sys.executable, "-m", "labcli.app", "--help"]
    times = []
    for _ in range(10):
        began = processor_s()
        subprocess.run(words, capture_output=True, check=True)
        times.append(processor_s() - began)
    assert min(times) < HELP_BUDGET_S


def processor_s() -> float:
    """Return the processor time of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

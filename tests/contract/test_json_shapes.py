"""The JSON of every `labcli runs` command has the shape that the README states."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labcli.commands.runs.app import COMMANDS
from labcli.lazy import load
from labcli.root import Entry
from runs.launch.local import launch
from runs.paths import LabHome, RunPaths
from tests.builders import START_S, build_finished_run
from tests.cli.conftest import Labcli
from tests.cli.conftest import home as home
from tests.cli.conftest import labcli as labcli
from tests.runs.builders import kill_everything, make_run, wait_for_state, wait_for_step

ROOT = Path(__file__).parents[2]
WANDB = ROOT / "tests" / "importers" / "fixtures" / "small.wandb"
KINDS = {"text": str, "number": (int, float), "flag": bool}
LINES = {"tail", "logs"}


def shapes() -> dict[str, Any]:
    """Return the shape of each command line in the README's table of documents."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(runs [^`]*--(?:json|format json))` \| `([\[{].*)` \|$", text, re.M)
    quoted = re.compile(r'(?<!")\b(text|number|flag|any)(\??)(?!")(?=[,\]}])')
    return {words: json.loads(quoted.sub(r'"\1\2"', shape)) for words, shape in rows}


def problems(value: Any, shape: Any, where: str = "document") -> Iterator[str]:
    """Yield in words where a value is not of a shape."""
    if shape == "any":
        return
    if isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{where} is no array"
            return
        for index, item in enumerate(value):
            yield from problems(item, shape[0], f"{where}[{index}]")
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            yield f"{where} is no object"
            return
        named = {key for key in shape if key != "*"}
        yield from (f"{where} has no {key!r}" for key in sorted(named - set(value)))
        for key, item in value.items():
            if key not in shape and "*" not in shape:
                yield f"{where} has {key!r}, which is not documented"
            else:
                yield from problems(item, shape.get(key, shape.get("*")), f"{where}.{key}")
    elif not (value is None and shape.endswith("?")):
        kind: Any = KINDS[shape.removesuffix("?")]
        is_flag = isinstance(value, bool)
        if not isinstance(value, kind) or is_flag != (kind is bool):
            yield f"{where} is {value!r}, not {shape}"


def takes_json(entry: Entry) -> bool:
    return any("--json" in param.opts for param in load(entry).params)


@pytest.fixture
def lab(home: LabHome) -> Iterator[LabHome]:
    """A lab home with a finished run, in which nothing is left running."""
    build_finished_run(home, name="first", tags=("a",))
    yield home
    kill_everything(home)


def words_of(line: str) -> list[str]:
    values = {"RUN": "last", "NAME": "other", "PATH": str(WANDB)}
    return [values.get(word, word) for word in shlex.split(line)]


def prepare(line: str, labcli: Labcli, home: LabHome) -> None:
    """Bring the lab into the state in which a command has something to say."""
    command = line.split()[1]
    if command == "restore":
        labcli("runs", "rm", "last")
    elif command == "logs":
        (run_dir,) = home.runs_dir.iterdir()
        path = RunPaths(run_dir).worker_log("report", 1)
        path.parent.mkdir(parents=True)
        path.write_text("one line\n")


QUIET = ("stop", "resume", "adopt", "reap")


@pytest.mark.parametrize("line", [line for line in shapes() if line.split()[1] not in QUIET])
def test_document_has_the_stated_shape(labcli: Labcli, lab: LabHome, line: str) -> None:
    prepare(line, labcli, lab)
    words = words_of(line)
    if words[1:3] == ["restore", "last"]:
        words[2] = "first"
    result = labcli(*words)
    assert result.code == 0, result.err
    texts = result.out.splitlines() if line.split()[1] in LINES else [result.out]
    documents = [json.loads(text) for text in texts]
    assert documents and (documents != [[]] or "alerts" in words)
    assert [p for document in documents for p in problems(document, shapes()[line])] == []


def test_documents_of_a_live_run_have_the_stated_shape(labcli: Labcli, lab: LabHome) -> None:
    paths = make_run(lab, {"base": {"steps": 2000, "step_s": 0.05}}, clock=lambda: START_S + 60)
    launch(paths)
    wait_for_step(paths, "base", 1)
    found = [("runs stop RUN --json", labcli("runs", "stop", "last", "--wait", "--json").out)]
    wait_for_state(paths, "stopped")
    resumed = labcli("runs", "resume", "last", "--detach", "--json").out
    found.append(("runs resume RUN --json", resumed))
    found.append(("runs adopt RUN --json", resumed))
    found.append(("runs reap --json", labcli("runs", "reap", "--dry-run", "--json").out))
    for line, out in found:
        assert list(problems(json.loads(out), shapes()[line])) == []


def test_every_command_with_json_has_its_shape_stated() -> None:
    stated = {line.split()[1] for line in shapes()}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `runs ([a-z]+)[^`]*--json", text, re.M))
    having = {name for name, entry in COMMANDS.items() if takes_json(entry)}
    assert having - stated - named == set()


def test_commands_of_runs_take_json() -> None:
    # What export writes is chosen by --format.
    without = [name for name, entry in COMMANDS.items() if not takes_json(entry)]
    assert without == ["export"]

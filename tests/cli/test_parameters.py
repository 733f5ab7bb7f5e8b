"""Values of parameters: as Typer makes them, without its validator where none is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.main import get_command

from labcli.flags.parameters import direct
from runs.paths import LabHome

app = typer.Typer(add_completion=False)
GIVEN: list[dict[str, Any]] = []


@app.command()
def echo(
    words: Annotated[list[str] | None, typer.Argument()] = None,
    text: str = "x",
    path: Path | None = None,
    num: Annotated[int, typer.Option(min=1)] = 3,
    tags: Annotated[list[str] | None, typer.Option("--tag")] = None,
    is_on: Annotated[bool, typer.Option("--on")] = False,
) -> None:
    """Keep what was given."""
    GIVEN.append(
        {"words": words, "text": text, "path": path, "num": num, "tags": tags, "is_on": is_on}
    )


@pytest.mark.parametrize(
    "line",
    ["", "a b", "--text y --path /x/y", "--path .", "--num 7 --on", "--tag a --tag b c", "-- -x"],
)
def test_every_value_is_what_typer_makes_of_it(line: str) -> None:
    GIVEN.clear()
    get_command(app).main(line.split(), standalone_mode=False)
    direct(get_command(app)).main(line.split(), standalone_mode=False)
    plain, ours = GIVEN
    assert ours == plain
    assert {key: type(value) for key, value in ours.items()} == {
        key: type(value) for key, value in plain.items()
    }


@pytest.mark.parametrize("line", ["--num 0", "--num x", "--text", "--on=1"])
def test_wrong_values_are_refused_in_typers_words(line: str) -> None:
    messages = []
    for command in (get_command(app), direct(get_command(app))):
        with pytest.raises(typer.TyperException) as caught:
            command.main(line.split(), standalone_mode=False)
        messages.append(caught.value.format_message())
    assert messages[0] == messages[1]


def test_listing_and_filtering_runs_load_no_validator(tmp_path: Path) -> None:
    home = LabHome(tmp_path)
    code = (
        "import sys; from labcli.app import run_command; "
        f"code = run_command(['--home', {str(home.root)!r}, 'runs', 'list', 'state=finished']); "
        "sys.exit(code or 'pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")

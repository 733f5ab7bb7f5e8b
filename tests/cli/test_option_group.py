"""Options that stand in a dataclass reach their command as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from labcli.flags.group import with_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Two options of any command that draws."""

    seed: Annotated[int, typer.Option("--seed", help="Draw by this.")] = 7
    ink: Annotated[str, typer.Option("--ink", help="Draw with this.")] = "black"


def _app() -> typer.Typer:
    app = typer.Typer()

    @app.command()
    @with_groups
    def draw(what: str, *, drawing: Drawing, is_big: bool = False) -> None:
        """Draw something."""
        typer.echo(f"{what} {drawing.seed} {drawing.ink} {is_big}")

    return app


def test_a_command_gets_the_fields_of_its_group_as_one_value_with_their_defaults() -> None:
    result = CliRunner().invoke(_app(), ["tree", "--seed", "3"])

    assert result.output == "tree 3 black False\n"


def test_help_lists_the_fields_where_the_group_stands() -> None:
    text = CliRunner().invoke(_app(), ["--help"]).output

    assert 0 < text.index("--seed") < text.index("--ink") < text.index("--is-big")

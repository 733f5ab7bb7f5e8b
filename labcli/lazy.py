"""Command groups that load a command's module when it is called, not when help is shown.

Must not import a command module: `labcli --help` stays under 120 ms that way.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from labcli.flags.parameters import direct
from labcli.root import Entry
from runs.errors import UsageError, nearest
from runs.registry.collecting import uncollected


class Group(TyperGroup):
    """A group that shows its help when called bare, and names the nearest unknown command."""

    # Typer keeps its context class private, so `ctx` has no public type to name.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options of the group; without any argument, print its help."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the first argument names, and the arguments left for it."""
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise UsageError(
                f"{ctx.command_path} has no command {args[0]!r}{nearest(args[0], known)}"
            )
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """A group whose commands are named in `table`; subclasses made by `lazy_group` set it."""

    table: Mapping[str, Entry] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        """Return a stand-in that carries the name and the summary, without an import."""
        entry = self.table.get(cmd_name)
        return entry and TyperCommand(cmd_name, help=entry.summary, rich_markup_mode=None)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the loaded command that the first argument names."""
        if args[0] in self.table:
            return args[0], load(self.table[args[0]]), args[1:]
        return super().resolve_command(ctx, args)


def lazy_group(table: Mapping[str, Entry]) -> type[LazyGroup]:
    """Return a group class over `table`."""
    return type("LazyGroup", (LazyGroup,), {"table": table})


def lazy_app(table: Mapping[str, Entry], summary: str) -> typer.Typer:
    """Return the application of a group over `table`; `summary` heads its help."""
    app = typer.Typer(
        cls=lazy_group(table),
        rich_markup_mode=None,
        add_completion=False,
        help=summary,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    # With a callback a group stays a group, and its help is the summary.
    app.callback(help=summary)(_nothing)
    return app


def _nothing() -> None:
    """Do nothing before the command of a group."""


def load(entry: Entry) -> Any:
    """Return the command object of an entry; this imports its module."""
    module, attribute = entry.target.split(":")
    with uncollected():
        return direct(get_command(getattr(importlib.import_module(module), attribute)))

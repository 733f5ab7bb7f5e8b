"""Parameters of commands that convert a value only where it is not yet what it should be.

Typer has every value converted by a validator, those too that nobody gave. Loading that library
takes a tenth of a second, and most commands have no use for it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import typer
from typer.core import TyperArgument, TyperOption

T = TypeVar("T", bound=Any)
HELP_FLAGS = ("-h", "--help")
_LEFT_TO_TYPER = object()


class DirectOption(TyperOption):
    """An option that takes texts, paths and its default as they are."""

    # Typer keeps its context class private, so `ctx` has no public type to name.
    def process_value(self, ctx: Any, value: Any) -> Any:
        """Return the value that the command is called with."""
        found = _direct(self, value)
        if found is _LEFT_TO_TYPER:
            return super().process_value(ctx, value)
        return found if self.callback is None else self.callback(ctx, self, found)


class DirectArgument(TyperArgument):
    """An argument that takes texts, paths and its default as they are."""

    def process_value(self, ctx: Any, value: Any) -> Any:
        """Return the value that the command is called with."""
        found = _direct(self, value)
        if found is _LEFT_TO_TYPER:
            return super().process_value(ctx, value)
        return found if self.callback is None else self.callback(ctx, self, found)


def direct(command: T) -> T:
    """Return a command, or a group and what it holds, whose parameters convert what needs it."""
    # Its --help is made at the first call and kept.
    shown = command.get_help_option(typer.Context(command, help_option_names=list(HELP_FLAGS)))
    for param in (*command.params, *([shown] if shown else [])):
        # Typer makes them, of these two classes and no other; what they hold stays as it is.
        if type(param) is TyperOption:
            param.__class__ = DirectOption
        elif type(param) is TyperArgument:
            param.__class__ = DirectArgument
    for child in getattr(command, "commands", {}).values():
        direct(child)
    return command


def _direct(param: TyperOption | TyperArgument, value: Any) -> Any:
    """Return what Typer would make of a value, where that needs no validator."""
    described = param.type_descriptor
    wanted, info = described.annotation, described.parameter_info
    if info.parser is not None:
        return _LEFT_TO_TYPER
    if value is None or value == ():
        return _LEFT_TO_TYPER if param.required else value
    if value is param.default and type(value) is wanted:
        return value
    if wanted is str and type(value) is str:
        return value
    if wanted == list[str] and isinstance(value, list | tuple):
        return list(value)
    if wanted is Path and type(value) is str and _is_any_path(info):
        # Of a file that is there Typer says whether it may be read.
        path = Path(value)
        return path if os.access(path, os.R_OK) or not os.path.lexists(path) else _LEFT_TO_TYPER
    return _LEFT_TO_TYPER


def _is_any_path(info: Any) -> bool:
    is_narrow = info.exists or info.writable or info.resolve_path or info.allow_dash
    return info.file_okay and info.dir_okay and info.path_type is None and not is_narrow

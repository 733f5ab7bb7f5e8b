"""The command tree's root. Loads no command before it is called."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from labcli import diagnostics
from labcli.flags.parameters import direct
from labcli.lazy import lazy_group
from labcli.options import Session
from labcli.output import OutputClosedError, discard_stdout, emit
from labcli.root import COMMANDS, EPILOG, OPTIONS, SUMMARY
from runs.errors import ExitCode, LabError

# What Typer and the validator behind it say, and how we say it.
REWORDED: Mapping[str, str] = {
    r"Input should be a valid integer.*": "it takes a whole number",
    r"Input should be a valid number.*": "it takes a number",
    r"Input should be greater than or equal to (\S+)": r"the least is \1",
    r"Input should be less than or equal to (\S+)": r"the most is \1",
    r"Value error, ": "",
    r" \(Possible options: (.*)\)": r"; closest: \1",
    r"Got unexpected extra argument\w*(?:\(s\))? \((.*)\)": r"unexpected argument: \1",
}

app = typer.Typer(
    cls=lazy_group(COMMANDS),
    help=SUMMARY,
    rich_markup_mode=None,
    add_completion=False,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_asked: bool) -> None:
    if not is_asked:
        return
    # A quarter of the time of --help, which does not need it.
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("labcli")
    except PackageNotFoundError:
        number = "(a checkout that is not installed)"
    emit(f"labcli {number}")
    raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=OPTIONS["--home DIR"],
            show_default=False,
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help=OPTIONS["--verbose"])] = False,
    show_version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help=OPTIONS["--version"]),
    ] = False,
) -> None:
    """Keep what was said before the command's name."""
    ctx.obj = Session(home=home)


def run_command(argv: Sequence[str]) -> int:
    """Return the exit code of one command line; every error becomes one line on stderr."""
    args, is_verbose = _split_verbose(argv)
    try:
        _refuse_windows()
        code = int(_invoke(args) or 0)
        sys.stdout.flush()
        return code
    except OutputClosedError:
        return ExitCode.OK
    except BrokenPipeError:
        discard_stdout()
        return ExitCode.OK
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except typer.TyperException as problem:
        diagnostics.error(f"{reworded(problem.format_message())} {_help_hint(problem)}")
        return ExitCode.USAGE
    except LabError as problem:
        if is_verbose:
            diagnostics.show_traceback(problem)
        diagnostics.error(str(problem))
        return problem.exit_code
    except Exception as problem:
        if is_verbose:
            diagnostics.show_traceback(problem)
        hint = "" if is_verbose else "; run again with --verbose for the traceback"
        diagnostics.error(f"{type(problem).__name__}: {problem}{hint}")
        return ExitCode.FAILED


def _invoke(args: list[str]) -> Any:
    return direct(get_command(app)).main(args, prog_name="labcli", standalone_mode=False)


def _split_verbose(argv: Sequence[str]) -> tuple[list[str], bool]:
    # Taken out here because a user adds it where the cursor is: at the end of the line.
    end = list(argv).index("--") if "--" in argv else len(argv)
    args = [word for word in argv[:end] if word != "--verbose"]
    is_verbose = len(args) < end or os.environ.get("LABCLI_VERBOSE", "") not in ("", "0")
    return [*args, *argv[end:]], is_verbose


def _refuse_windows() -> None:
    if os.name == "nt":
        raise LabError("labcli runs on Linux and macOS; on Windows, use it inside WSL")


def reworded(message: str) -> str:
    """Return what Typer says of a wrong argument in the words of our own errors."""
    for pattern, words in REWORDED.items():
        message = re.sub(pattern, words, message)
    return (message[:1].lower() + message[1:]).rstrip(".")


def _help_hint(problem: typer.TyperException) -> str:
    context = getattr(problem, "ctx", None)
    return f"(see '{context.command_path} --help')" if context is not None else ""

"""The errors that a user can meet, each with the exit code of the command that raised it.

A message says what happened, to which thing, and what to do next, in one line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every labcli command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    BUSY = 4
    CORRUPT = 5
    INTERRUPTED = 130


class LabError(Exception):
    """An expected failure: one line for the user, no traceback."""

    exit_code = ExitCode.FAILED


class StageFailed(LabError):
    """A stage ended with an error of its own."""

    exit_code = ExitCode.FAILED


class UsageError(LabError):
    """The request itself cannot be carried out as it was typed."""

    exit_code = ExitCode.USAGE


class NotFound(LabError):
    """The run, stage, checkpoint or file that was named does not exist."""

    exit_code = ExitCode.NOT_FOUND


class Busy(LabError):
    """Another process holds what is needed."""

    exit_code = ExitCode.BUSY


class Corrupt(LabError):
    """A file exists but cannot be trusted."""

    exit_code = ExitCode.CORRUPT


def nearest(wanted: str, known: Iterable[str]) -> str:
    """Return a hint such as "; closest: 'depth', 'head_dim'", from the known names.

    A name that holds what was typed comes before one that only looks alike.
    """
    names = sorted(known)
    holding = [name for name in names if wanted and wanted in name]
    alike = difflib.get_close_matches(wanted, names, n=3, cutoff=0.4)
    close = list(dict.fromkeys(holding + alike))[:3] or names[:8]
    if not close:
        return ""
    return "; closest: " + ", ".join(repr(name) for name in close)

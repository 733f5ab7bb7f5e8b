"""The errors that a user can meet, each with the exit code of the command that raised it.

A message says what happened, to which thing, and what to do next, in one line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum

# Names in a message about one that none is close to: all presets of a recipe.
MOST_NAMES = 16


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
    """Return a hint such as "; closest: 'depth', 'head_dim'", or what there is if none is close.

    A name that holds what was typed comes before one that only looks alike.
    """
    names = sorted(known)
    if not names:
        return ""
    holding = [name for name in names if wanted and wanted in name]
    alike = difflib.get_close_matches(wanted, names, n=3, cutoff=0.4)
    close = list(dict.fromkeys(holding + alike))[:3]
    shown = close or names[:MOST_NAMES]
    more = f" and {len(names) - MOST_NAMES} more" if not close and len(names) > MOST_NAMES else ""
    return f"; {'closest' if close else 'there are'}: {', '.join(map(repr, shown))}{more}"

"""The console script. Help is there at once: only another command loads the command tree."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sys
from collections.abc import Sequence

from labcli.completion.shells import SHELL_VARIABLE
from labcli.output import OutputClosedError, emit
from labcli.root import MIN_TERMINAL_COLUMNS, help_text
from runs.registry.collecting import uncollected

ROOT_HELP: tuple[list[str], ...] = ([], ["--help"], ["-h"])


def main(argv: Sequence[str] | None = None) -> None:
    """Run the console script and leave with its exit code."""
    try:
        code = run_command(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        # Commands answer to it themselves; this one came while theirs were still being loaded.
        from runs.errors import ExitCode

        code = ExitCode.INTERRUPTED
    # The interpreter looks for cycles once more before it ends, in memory that ends with it:
    # a tenth of the time of a listing.
    gc.freeze()
    sys.exit(code)


def run_command(argv: Sequence[str]) -> int:
    """Return the exit code of one command line; every error becomes one line on stderr."""
    if SHELL_VARIABLE in os.environ:
        from labcli import complete

        return complete.main(os.environ)
    columns = shutil.get_terminal_size().columns
    if list(argv) in ROOT_HELP and columns >= MIN_TERMINAL_COLUMNS:
        return _show_help(columns)
    with uncollected():
        from labcli import tree

    return tree.run_command(argv)


def _show_help(columns: int) -> int:
    with contextlib.suppress(OutputClosedError):
        emit(help_text(columns))
    return 0


if __name__ == "__main__":
    main()

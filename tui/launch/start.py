"""Starting a run as a person would: `labcli run ... --detach --json` as a child process.

The child has the command's own checks, its own words for what is wrong, and leaves the run in
the background; it needs nothing of the app, and outlives it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runs.errors import LabError
from runs.paths import LabHome

ERROR_MARK = "labcli: error: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run that was started, or the one that had done the same already; `said` tells which."""

    run_dir: Path
    said: str


async def start_run(home: LabHome, words: Sequence[str]) -> Started:
    """Start what `labcli run` with these words starts, in the background.

    Raises:
        LabError: it was not started; the message is the command's own line.
    """
    argv = (
        sys.executable, "-P", "-m", "labcli.app", "--home", str(home.root), "run", *words,
        "--detach", "--json",
    )  # fmt: skip
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Neither Ctrl-C nor the end of the terminal may cut it off half-way.
            start_new_session=True,
        )
        out, err = await process.communicate()
    except OSError as error:
        raise LabError(f"labcli cannot be run: {error}") from None
    said = err.decode("utf-8", errors="replace").strip().splitlines()
    if process.returncode:
        raise LabError(last_words(said) or f"labcli run ended with code {process.returncode}")
    try:
        body = json.loads(out)
        # A recipe of several runs queues them all: the first stands for them.
        path = Path(body["runs"][0] if "sweep_id" in body else body["path"])
    except (ValueError, KeyError, TypeError, IndexError):
        raise LabError("labcli run did not say which run it started") from None
    return Started(run_dir=path, said=said[0] if said else "")


def last_words(said: Sequence[str]) -> str:
    """Return the error line of a command without its mark, else the last line it wrote."""
    marked = [line for line in said if line.startswith(ERROR_MARK)]
    return marked[-1].removeprefix(ERROR_MARK) if marked else (said[-1] if said else "")

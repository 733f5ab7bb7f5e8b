"""Reading many runs into rows of the registry, on all cores: a process for each share of them.

`python -P -m runs.registry.readers [--refresh]` reads the run directories that are named on
stdin and writes their rows as columns to stdout. A new process and not a fork: whoever asks may
have threads, and DuckDB has some always. Imports no database.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from runs.metrics.derived import refresh
from runs.registry.collecting import uncollected
from runs.registry.rows import TABLES, run_rows
from runs.views.facts import read_once

Columns = dict[str, list[Any]]
# It takes a process as long to start as to read this many runs.
MIN_SHARE = 100
MAX_PROCESSES = 8
_REFRESH = "--refresh"


def read_columns(directories: Sequence[Path], *, should_refresh: bool) -> list[dict[str, Columns]]:
    """Return the rows of runs as columns by table, in several parts.

    With `should_refresh` what is derived in the run directories is made again first, where it is
    missing or out of date.
    """
    num = max(1, min(MAX_PROCESSES, _num_cores(), len(directories) // MIN_SHARE))
    shares = [directories[index::num] for index in range(num)]
    readers = [_start(share, should_refresh=should_refresh) for share in shares[1:]]
    try:
        parts = [_read(shares[0], should_refresh=should_refresh)]
        for share, reader in zip(shares[1:], readers, strict=True):
            part = None if reader is None else _answer(reader)
            # Whatever befell it: here the same work succeeds, or fails with its reason.
            parts.append(_read(share, should_refresh=should_refresh) if part is None else part)
        return parts
    finally:
        for reader in readers:
            if reader is not None and reader.poll() is None:
                reader.kill()
                reader.communicate()


def _read(directories: Sequence[Path], *, should_refresh: bool) -> dict[str, Columns]:
    read = refresh if should_refresh else read_once
    with uncollected():
        runs = [run_rows(path, read) for path in directories]
        columns: dict[str, Columns] = {}
        for table in TABLES:
            rows = [row for run in runs for row in run.table(table)]
            names = list(rows[0]) if rows else []
            # Once per table, by what is written in C: a loop over columns takes three times that.
            values = zip(*map(itemgetter(*names), rows), strict=True) if rows else ()
            columns[table] = dict(zip(names, map(list, values), strict=True))
    return columns


def _start(directories: Sequence[Path], *, should_refresh: bool) -> subprocess.Popen[bytes] | None:
    flags = [_REFRESH] if should_refresh else []
    try:
        # A file, not a pipe: nobody waits until the reader has started.
        with tempfile.TemporaryFile() as names:
            names.write(b"\0".join(map(os.fsencode, directories)))
            names.seek(0)
            return subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, *flags],
                stdin=names,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
    except OSError:
        return None


def _answer(reader: subprocess.Popen[bytes]) -> dict[str, Columns] | None:
    written, _ = reader.communicate()
    if reader.returncode or not written:
        return None
    # Not from a file that anybody could have written: from our own child, through a pipe.
    columns: dict[str, Columns] = pickle.loads(written)
    return columns


def _num_cores() -> int:
    # What this process may use, where the system tells that; macOS does not.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def main() -> None:
    """Read the share of runs that is named on stdin."""
    names = sys.stdin.buffer.read().split(b"\0")
    paths = [Path(os.fsdecode(name)) for name in names]
    columns = _read(paths, should_refresh=_REFRESH in sys.argv[1:])
    sys.stdout.buffer.write(pickle.dumps(columns, pickle.HIGHEST_PROTOCOL))


if __name__ == "__main__":
    main()

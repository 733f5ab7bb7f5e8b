"""Settings and figures of runs, kept while the files they were read from stay as they are.

A filter over a thousand runs reads two files instead of two thousand. They are derived: one that
is missing, damaged or of another version only makes the next filter slower.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from runs.files import write_atomic
from runs.paths import LabHome
from runs.views.kept_views import KEPT_STATES, MIN_NEW, view_mark

T = TypeVar("T")
VERSION = 1
Block = Mapping[str, Any]


@dataclass(slots=True)
class _Shelf:
    """One file of kept values, by the name of the run's directory, each with its mark."""

    path: Path
    values: dict[str, tuple[str, Any]] = field(default_factory=dict)
    # What many runs share is kept once; a value may name entries of it.
    blocks: list[Block] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    whole: dict[tuple[int, ...], Block] = field(default_factory=dict)
    num_new: int = 0

    def joined(self, places: Sequence[int]) -> Block:
        """Return the entries of several blocks as one, which runs that have the same share."""
        key = tuple(places)
        if key not in self.whole:
            self.whole[key] = _joined([self.blocks[index] for index in key])
        return self.whole[key]

    def put(self, name: str, mark: str, value: Any) -> None:
        """Keep a value from now on."""
        self.values[name] = (mark, value)
        self.num_new += 1

    def place(self, block: Block) -> int:
        """Return the number of a block, which is kept once however often it comes."""
        if not self.places:
            self.places = {_text(known): index for index, known in enumerate(self.blocks)}
        index = self.places.setdefault(_text(block), len(self.blocks))
        if index == len(self.blocks):
            self.blocks.append(block)
        return index

    def save(self) -> None:
        """Write what is kept when there is enough that is new; never fails."""
        if self.num_new < MIN_NEW:
            return
        self.num_new = 0
        body = {"v": VERSION, "blocks": self.blocks, "values": self.values}
        try:
            write_atomic(self.path, _text(body).encode())
        except OSError:
            return


class KeptCards:
    """What is kept of the runs of one lab home; each file is read when it is first needed."""

    def __init__(self, home: LabHome) -> None:
        self._home = home
        self._shelves: dict[str, _Shelf] = {}

    def settings(self, run_dir: Path, make: Callable[[], Sequence[Block] | None]) -> Block | None:
        """Return the settings of a run: those kept since its run.json was written, or made now.

        `make` returns them in parts, such as one per stage, or None where run.json is not all
        that they come from; so does this.
        """
        shelf = self._shelf("settings")
        # A string, not a path: there are as many of them as runs.
        path = f"{run_dir}/run.json"
        mark = _file_mark(path)
        known = shelf.values.get(run_dir.name)
        if known is not None and known[0] == mark:
            try:
                return shelf.joined(known[1])
            except (IndexError, TypeError, AttributeError):
                # Damaged: made again, as if it had not been kept.
                shelf.values.pop(run_dir.name)
        parts = make()
        if parts is None:
            return None
        if mark and mark == _file_mark(path):
            shelf.put(run_dir.name, mark, [shelf.place(part) for part in parts])
        return _joined(parts)

    def figures(self, run_dir: Path, state: str, make: Callable[[], T]) -> T:
        """Return the figures of a run in a state: as kept since it ended, or made now."""
        if state not in KEPT_STATES:
            return make()
        shelf = self._shelf("figures")
        mark = view_mark(run_dir, state)
        known = shelf.values.get(run_dir.name)
        if known is not None and known[0] == mark:
            found: T = known[1]
            return found
        made = make()
        if mark == view_mark(run_dir, state):
            shelf.put(run_dir.name, mark, made)
        return made

    def save(self) -> None:
        """Write what was read anew, for the next filter; never fails."""
        for shelf in self._shelves.values():
            shelf.save()

    def _shelf(self, what: Literal["settings", "figures"]) -> _Shelf:
        # Where a lab home keeps what is derived takes a look at the mounts: ask once, not per run.
        if what not in self._shelves:
            home = self._home
            path = home.run_settings if what == "settings" else home.run_figures
            self._shelves[what] = _load(path)
        return self._shelves[what]


def _load(path: Path) -> _Shelf:
    try:
        body = json.loads(path.read_bytes())
        if body["v"] != VERSION:
            return _Shelf(path)
        values = {name: (str(mark), value) for name, (mark, value) in body["values"].items()}
        return _Shelf(path, values, list(body["blocks"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return _Shelf(path)


def _joined(parts: Sequence[Block]) -> Block:
    return {key: value for part in parts for key, value in part.items()}


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _file_mark(path: str) -> str:
    # The inode too: a file that was replaced is another one, whatever its time and size.
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return ""
    return f"{status.st_mtime_ns:x}.{status.st_size:x}.{status.st_ino:x}"

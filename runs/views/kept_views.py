"""Views of runs that have ended, kept while their files stay as they are.

A lab of a thousand runs is listed from one file instead of twenty thousand. It is derived: a
file that is missing, damaged or of another form only makes the next listing slower.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from runs.files import write_atomic
from runs.metrics.fingerprint import fingerprint, log_fingerprint

T = TypeVar("T")
# In these nothing changes by itself any more: only a write to a file can.
KEPT_STATES = frozenset({"finished", "stopped", "failed", "killed", "budget"})
# Fewer new views than this are not worth a write.
MIN_NEW = 32
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Generic[T]):
    """How views are written and read back; `fields` tells views of another form apart.

    `thaw` returns the view of a run directory from what `freeze` made of it.
    """

    fields: tuple[str, ...]
    state: Callable[[T], str]
    freeze: Callable[[T], dict[str, Any]]
    thaw: Callable[[dict[str, Any], Path], T]


@dataclass(slots=True)
class _Kept(Generic[T]):
    """A view that was read from disk but not thawed yet, or the view itself."""

    mark: str
    state: str
    frozen: dict[str, Any] | None = None
    view: T | None = None


class KeptViews(Generic[T]):
    """The kept views of one lab home, in memory and on disk."""

    def __init__(self, path: Path, form: Form[T]) -> None:
        self._path = path
        self._form = form
        self._known = _load(path, form)
        self._num_new = 0

    def view(self, run_dir: Path, make: Callable[[Path], T]) -> T:
        """Return the kept view of a run, or what `make` returns, which is kept if it can be."""
        known = self._known.get(run_dir.name)
        if known is not None and known.mark == view_mark(run_dir, known.state):
            view = self._thawed(known, run_dir)
            if view is not None:
                return view
        mark = fingerprint(run_dir)
        view = make(run_dir)
        state = self._form.state(view)
        if state in KEPT_STATES and mark == fingerprint(run_dir):
            kept = _Kept(view_mark(run_dir, state), state, view=view)
            self._known[run_dir.name] = kept
            self._num_new += 1
        else:
            self._known.pop(run_dir.name, None)
        return view

    def save(self) -> None:
        """Write what is kept when there is enough that is new; never fails."""
        if self._num_new < MIN_NEW:
            return
        views = {
            name: [kept.mark, kept.frozen if kept.view is None else self._form.freeze(kept.view)]
            for name, kept in self._known.items()
        }
        body = {"v": VERSION, "fields": list(self._form.fields), "views": views}
        self._num_new = 0
        try:
            write_atomic(self._path, json.dumps(body, separators=(",", ":")).encode())
        except OSError:
            return

    def _thawed(self, kept: _Kept[T], run_dir: Path) -> T | None:
        if kept.frozen is not None:
            try:
                kept.view = self._form.thaw(kept.frozen, run_dir)
            except (TypeError, KeyError, AttributeError):
                # Damaged: made again, as if it had not been kept.
                return None
            kept.frozen = None
        return kept.view


def view_mark(run_dir: Path, state: str) -> str:
    """Return a text that changes with the files of a run that has ended in this state."""
    # Of a finished run every log has its end; another may still be written by a lost worker.
    logs = "" if state == "finished" else log_fingerprint(run_dir)
    return f"{fingerprint(run_dir)} {logs}"


def _load(path: Path, form: Form[T]) -> dict[str, _Kept[T]]:
    try:
        body = json.loads(path.read_bytes())
        if body["v"] != VERSION or tuple(body["fields"]) != form.fields:
            return {}
        return {
            name: _Kept(str(mark), str(frozen["state"]), frozen=frozen)
            for name, (mark, frozen) in body["views"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}

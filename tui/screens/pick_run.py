"""Choosing a run: every run of the lab home, found as a person types."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from rich.text import Text

from runs.paths import LabHome
from runs.views.query import list_runs
from runs.views.run_view import RunView
from tui.screens.pick import PickScreen, bpb_text
from tui.shell import format as fmt
from tui.shell.glyphs import Glyphs


class PickRunScreen(PickScreen[RunView, Path]):
    """The readable runs; the result is the directory of the one that was chosen."""

    BINDING_GROUP_TITLE = "Runs"
    HELP = "Type a part of a name, tag, state or id; Enter takes the marked run."
    KIND = "run"
    PLACEHOLDER = "search: run, tag, state, id"
    NOTHING = "There is no other run in this lab home yet."

    def __init__(
        self,
        *,
        home: LabHome,
        glyphs: Glyphs,
        without: Collection[Path] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(home=home, glyphs=glyphs, clock=clock)
        self._without = frozenset(without)

    def read_items(self) -> Sequence[RunView]:
        """Return the runs but those that are left out."""
        return [
            run
            for run in list_runs(self.home)
            if run.path not in self._without and run.state != "unreadable"
        ]

    def search(self, items: Sequence[RunView], words: str) -> Sequence[RunView]:
        """Return the runs that hold every word, the newest first."""
        wanted = words.lower().split()
        return [run for run in items if all(word in _text(run) for word in wanted)]

    def row(self, item: RunView) -> Text:
        """Return the name, the state, the quality and the age of a run."""
        state = f"{self.glyphs.state(item.state)} {item.state}"
        age = fmt.age(self.clock() - item.created_s)
        row = Text(no_wrap=True, overflow="ellipsis")
        row.append(f"{self.glyphs.cut(item.name, 34):<35} ", "bold")
        row.append(f"{state:<13}{bpb_text(item.val_bpb):<10}{age}", "dim")
        return row

    def chosen(self, item: RunView) -> Path:
        """Return the directory of a run."""
        return item.path


def _text(run: RunView) -> str:
    parts = (run.name, run.slug, run.run_id, run.state, run.recipe, run.preset, *run.tags)
    return " ".join(parts).lower()

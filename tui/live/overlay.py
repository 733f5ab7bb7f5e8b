"""The marked runs that are overlaid in the charts: each is followed like the focused one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from runs.errors import LabError
from runs.views.query import load_run
from tui.charts.data import run_letter
from tui.live.axes import Subject
from tui.live.focus import FocusedRun


class Overlay:
    """Which runs lie over each other; those that are not read yet are left out until they are."""

    def __init__(self) -> None:
        self.marked: tuple[Path, ...] = ()
        self._followed: dict[Path, FocusedRun] = {}

    def choose(self, marked: Sequence[Path]) -> tuple[Path, ...]:
        """Take what is marked now, and return what has to be read for it."""
        self.marked = tuple(dict.fromkeys(marked))
        self._followed = {path: run for path, run in self._followed.items() if path in self.marked}
        return tuple(path for path in self.marked if path not in self._followed)

    def take(self, focused: FocusedRun) -> None:
        """Take in a run that was read, unless it is no longer marked."""
        if focused.run_dir in self.marked:
            self._followed[focused.run_dir] = focused

    def drop(self, run_dir: Path) -> None:
        """Leave a run out that cannot be read."""
        self.marked = tuple(path for path in self.marked if path != run_dir)
        self._followed.pop(run_dir, None)

    def advance(self) -> bool:
        """Read a bounded amount of what is new in every run, and return whether anything was."""
        has_news = False
        for run in self._followed.values():
            has_news |= run.advance()
        return has_news

    def subjects(self, focused: FocusedRun) -> tuple[Subject, ...]:
        """Return the focused run alone, or it and every marked run with letters of their own."""
        others = [path for path in self.marked if path in self._followed]
        if not [path for path in others if path != focused.run_dir]:
            return (focused.subject(),)
        order = others if focused.run_dir in others else [focused.run_dir, *others]
        runs = [self._followed[path] if path != focused.run_dir else focused for path in order]
        return tuple(
            run.subject(stage=focused.stage, run=place, letter=run_letter(place))
            for place, run in enumerate(runs)
        )


def read_run(run_dir: Path, is_cancelled: Callable[[], bool]) -> FocusedRun:
    """Return a run with all its events; for a thread worker.

    Raises:
        LabError: the run cannot be read.
    """
    view = load_run(run_dir)
    if not view.stages:
        raise LabError(view.problem or f"{run_dir} cannot be read")
    focused = FocusedRun(view)
    focused.drain(is_cancelled)
    return focused

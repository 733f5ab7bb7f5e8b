"""Passing on what a tracked script prints, as it prints it, until its run has ended."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable
from pathlib import Path

from labcli import diagnostics
from labcli.following.watch import ENDED_STATES, POLL_S, VIEW_EVERY_S, Watched, ask_to_leave
from runs.paths import RunPaths
from runs.track.contract import STAGE
from runs.views.facts import FoldCache
from runs.views.query import load_run
from runs.views.run_view import RunView

Say = Callable[[str], None]
_FAST_POLL_S = 0.05


class Passing:
    """One person watching one tracked run; every attempt has a log of its own."""

    def __init__(
        self,
        paths: RunPaths,
        *,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = paths
        self._wait = wait
        self._clock = clock
        self._cache = FoldCache()
        self._tails: dict[Path, _TextTail] = {}
        self._problem: str | None = None

    def until_end(self, say: Say) -> Watched:
        """Hand every line of output to `say` until the run has ended or the person leaves."""
        while True:
            try:
                return self._follow(say)
            except KeyboardInterrupt:
                if ask_to_leave(self._paths.run_dir):
                    return Watched(view=self._look(), is_detached=True)

    def _follow(self, say: Say) -> Watched:
        began_s = looked_at_s = self._clock()
        view = self._look()
        while view.state not in ENDED_STATES:
            self._pass_on(say)
            self._warn(view)
            # A short script should not wait for its watcher.
            is_young = self._clock() - began_s < 2 * VIEW_EVERY_S
            self._wait(_FAST_POLL_S if is_young else POLL_S)
            if is_young or self._clock() - looked_at_s >= VIEW_EVERY_S:
                view, looked_at_s = self._look(), self._clock()
        self._pass_on(say, is_over=True)
        return Watched(view=view)

    def _look(self) -> RunView:
        return load_run(self._paths.run_dir, self._cache)

    def _pass_on(self, say: Say, *, is_over: bool = False) -> None:
        directory = self._paths.log_dir(STAGE)
        for path in sorted(directory.glob("a*.log"), key=lambda path: int(path.stem[1:])):
            for line in self._tails.setdefault(path, _TextTail(path)).read(is_over=is_over):
                say(line)

    def _warn(self, view: RunView) -> None:
        if view.problem is not None and view.problem != self._problem:
            diagnostics.say(view.problem)
        self._problem = view.problem


class _TextTail:
    """The complete lines that were added to a text file since the last call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def read(self, *, is_over: bool) -> list[str]:
        """Return the new lines; when all is over, an unfinished last one too."""
        with open(self._path, "rb") as stream:
            stream.seek(self._offset)
            chunk = stream.read()
        self._offset += len(chunk)
        *lines, self._rest = (self._rest + self._decoder.decode(chunk)).split("\n")
        if is_over and self._rest:
            lines.append(self._rest)
            self._rest = ""
        return lines

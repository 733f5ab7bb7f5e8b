"""Which self-chats there are, and what the open one has said: read in threads, again and again.

Each worker posts a message when it is done. How all of it is shown, and the keys, are the view's.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from textual import on, work
from textual.message import Message
from textual.screen import Screen
from textual.worker import get_current_worker

from runs.errors import LabError, NotFound
from runs.paths import LabHome
from runs.views.facts import FoldCache
from runs.views.query import list_runs
from runs.views.run_view import RunView
from runs.views.states import ACTIVE
from tui.selfchat.curves import TurnPlot, plots_of
from tui.selfchat.reading import Held, SelfchatFeed, num_turns, selfchats
from tui.selfchat.viewing import Viewing
from tui.shell.environment import Environment

LIST_S = 2.0
FOLLOW_S = 0.5
# Intervals are resampled: in a living self-chat they may lag behind.
PLOT_EVERY_S = 3.0


@dataclass
class RunsRead(Message):
    """The lab home was read."""

    runs: tuple[RunView, ...]
    problem: str = ""


@dataclass
class HeldRead(Message):
    """A self-chat was read; held: None where nothing is new; problem says what is in the way."""

    run_dir: Path
    held: Held | None
    problem: str = ""


@dataclass
class PlotsMade(Message):
    """The curves of a self-chat, of so many turns."""

    run_dir: Path
    plots: tuple[TurnPlot, ...]
    num_turns: int


class SelfchatReading(Screen[None]):
    """A screen over the self-chats of a lab home, one of which is open."""

    def __init__(
        self,
        *,
        home: LabHome,
        environment: Environment,
        focus: Path | None,
        clock: Callable[[], float],
    ) -> None:
        """Take the lab home; `focus` is the directory of the run to open first."""
        super().__init__()
        self.home = home
        self.environment = environment
        self.clock = clock
        self.wanted = focus
        self.runs: tuple[RunView, ...] = ()
        self.run: RunView | None = None
        self.viewing = Viewing(glyphs=environment.glyphs)
        self._cache = FoldCache()
        self._feed: SelfchatFeed | None = None
        self._is_listing = self._is_reading = self._is_plotting = self._wants_whole = False
        self._num_plotted = -1
        self._plotted_s = 0.0

    @abstractmethod
    def draw(self) -> None:
        """Show everything as it stands."""

    @abstractmethod
    def mark_run(self, place: int) -> None:
        """Mark the self-chat that was opened in the list of them."""

    @abstractmethod
    def show_plots(self, plots: tuple[TurnPlot, ...]) -> None:
        """Show the curves over turns."""

    @abstractmethod
    def show_unreadable(self, problem: str) -> None:
        """Say why the lab home cannot be read."""

    def on_mount(self) -> None:
        """Start to list and to follow."""
        self.list_again()
        self.set_interval(LIST_S, self.list_again)
        self.set_interval(FOLLOW_S, self.follow)

    @property
    def is_settled(self) -> bool:
        """Whether everything that was asked for was read and drawn."""
        is_busy = self._is_listing or self._is_reading or self._is_plotting
        return not is_busy and (not self.runs or self.viewing.held is not None)

    def list_again(self) -> None:
        """Read the lab home, unless another view is shown or the last reading goes on."""
        if not self._is_listing and self.app.screen_stack and self in self.app.screen_stack:
            self._is_listing = True
            self.read_runs()

    def follow(self) -> None:
        """Read what a living self-chat has said since."""
        if self.run is not None and self.run.state in ACTIVE and not self._is_reading:
            assert self._feed is not None
            self._is_reading = True
            self.read_talk(self.run.path, self._feed, is_whole=False)
        self._plot_again()

    @work(thread=True, exclusive=True, exit_on_error=False, group="selfchat-runs")
    def read_runs(self) -> None:
        """Tell which self-chats there are."""
        try:
            self.post_message(RunsRead(selfchats(list_runs(self.home, self._cache))))
        except (LabError, OSError) as error:
            self.post_message(RunsRead((), f"cannot read {self.home.runs_dir}: {error}"))

    @work(thread=True, exit_on_error=False, group="selfchat-talk")
    def read_talk(self, run_dir: Path, feed: SelfchatFeed, *, is_whole: bool) -> None:
        """Tell what a self-chat has said: all of it, or what is new."""
        try:
            self.post_message(HeldRead(run_dir, feed.load() if is_whole else feed.poll()))
        except NotFound:
            self.post_message(HeldRead(run_dir, None, "It has not begun to talk yet."))
        except (LabError, OSError) as error:
            self.post_message(HeldRead(run_dir, None, str(error)))

    @work(thread=True, exclusive=True, exit_on_error=False, group="selfchat-plots")
    def make_plots(self, run_dir: Path, held: Held) -> None:
        """Tell the curves over turns."""
        worker = get_current_worker()
        plots = plots_of(held.experiment, should_stop=lambda: worker.is_cancelled)
        if not worker.is_cancelled:
            self.post_message(PlotsMade(run_dir, plots, num_turns(held.experiment)))

    @on(RunsRead)
    def take_runs(self, message: RunsRead) -> None:
        """Show the self-chats, and open one where none is open."""
        self._is_listing = False
        if message.problem:
            self.show_unreadable(message.problem)
            return
        self.runs = message.runs
        open_now = next((one for one in self.runs if self.run and one.path == self.run.path), None)
        if open_now is None or self.wanted is not None:
            self._choose()
        else:
            has_ended = self.run is not None and self.run.state in ACTIVE
            self.run = open_now
            if has_ended and open_now.state not in ACTIVE:
                self._read_whole()
        self.draw()

    @on(HeldRead)
    def take_held(self, message: HeldRead) -> None:
        """Show what was said."""
        if self.run is None or message.run_dir != self.run.path:
            return
        self._is_reading = False
        if message.problem:
            self.viewing.problem = message.problem
        if message.held is not None:
            self.viewing.take(message.held)
        if message.held is not None or message.problem:
            self.draw()
        if self._wants_whole:
            self._read_whole()
        self._plot_again()

    @on(PlotsMade)
    def take_plots(self, message: PlotsMade) -> None:
        """Show the curves."""
        self._is_plotting = False
        self._num_plotted = message.num_turns
        self._plotted_s = time.monotonic()
        if self.run is None or message.run_dir != self.run.path:
            self._num_plotted = -1
            self._plot_again()
            return
        self.show_plots(message.plots)
        self._plot_again()

    def _choose(self) -> None:
        """Open the run that was asked for, else a living one, else the newest."""
        wanted = next((one for one in self.runs if one.path == self.wanted), None)
        if self.wanted is not None and wanted is None and self.run is None:
            self.notify(f"{self.wanted.name} is no self-chat", severity="warning", markup=False)
        if self.runs and (wanted is not None or self.run not in self.runs):
            at_work = [run for run in self.runs if run.state in ACTIVE - {"queued"}]
            self.open_run(wanted or (at_work or self.runs)[0])
            self.mark_run(self.runs.index(self.run) if self.run else 0)
        self.wanted = None

    def open_run(self, run: RunView) -> None:
        """Read a self-chat from its beginning, unless it is the one that is open."""
        if self.run is not None and self.run.path == run.path and self.viewing.held:
            return
        self.run = run
        self._feed = SelfchatFeed(run.path)
        self._num_plotted = -1
        self._is_reading = False
        self.viewing = Viewing(glyphs=self.environment.glyphs)
        self._read_whole()

    def _read_whole(self) -> None:
        """Read everything; a feed has one reader at a time, so this may come after another."""
        self._wants_whole = self._is_reading
        if self.run is not None and self._feed is not None and not self._is_reading:
            self._is_reading = True
            self.read_talk(self.run.path, self._feed, is_whole=True)

    def _plot_again(self) -> None:
        """Make the curves where they are behind what was said."""
        held = self.viewing.held
        if held is None or self._is_plotting or self.run is None:
            return
        is_early = time.monotonic() - self._plotted_s < PLOT_EVERY_S and self._num_plotted >= 0
        if num_turns(held.experiment) != self._num_plotted and not is_early:
            self._is_plotting = True
            self.make_plots(self.run.path, held)

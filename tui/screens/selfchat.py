"""The self-chat view: models that talk to themselves, every token measured, live or replayed.

Thread workers read files and post messages; the handlers here own every change of the view.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer, Static
from textual.worker import get_current_worker

from runs.errors import LabError, NotFound, UsageError
from runs.paths import LabHome
from runs.views.facts import FoldCache
from runs.views.query import RunView, list_runs
from runs.views.states import ACTIVE
from tui.screens.arena import ArenaScreen
from tui.screens.ask_text import AskTextScreen
from tui.screens.selfchat_keys import PANES, SELFCHAT_KEYS
from tui.screens.selfchat_new import NewSelfchat
from tui.screens.selfchat_parts import (
    FindingsList,
    HeldRead,
    PlotsMade,
    RunsList,
    RunsRead,
    TalksList,
)
from tui.selfchat.curves import plots_of
from tui.selfchat.lists import run_line
from tui.selfchat.reading import Held, SelfchatFeed, num_turns, selfchats
from tui.selfchat.viewing import Viewing
from tui.shell.environment import Environment
from tui.shell.tones import Piece, ToneLine
from tui.widgets.row_list import RowList
from tui.widgets.toned import TonedLines
from tui.widgets.transcript_view import TranscriptView
from tui.widgets.turn_chart import TurnChart

LIST_S = 2.0
FOLLOW_S = 0.5
# Intervals are resampled: in a living self-chat they may lag behind.
PLOT_EVERY_S = 3.0
NUM_CHARTS = 4
NO_TALKS = """\
No self-chat in this lab home yet.

Press n to start one, or in another terminal:

    labcli selfchat --model last:sft"""


class SelfchatScreen(Screen[None]):
    """Self-chats, their conversations, findings and curves."""

    CSS_PATH = "selfchat.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide"), (170, "-vast")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    BINDING_GROUP_TITLE = "Self-chat"
    HELP = """\
A model talks to itself, or two to each other, and every token is measured. On the left the
self-chats and the conversations of one; on the right what was said. 1, 2 and 3 show the
conversation, the findings and the curves over turns; n starts another self-chat.
"""
    BINDINGS: ClassVar[list[BindingType]] = [*SELFCHAT_KEYS]

    top = getters.query_one("#selfchat-top", TonedLines)
    notice = getters.query_one("#selfchat-notice", Static)
    body = getters.query_one("#selfchat-body", Horizontal)
    runs_list = getters.query_one("#selfchat-runs", RunsList)
    talks = getters.query_one("#selfchat-talks", TalksList)
    panes = getters.query_one("#selfchat-panes", TonedLines)
    main = getters.query_one("#selfchat-main", Vertical)
    head = getters.query_one("#selfchat-head", TonedLines)
    transcript = getters.query_one(TranscriptView)
    replay = getters.query_one("#selfchat-replay", TonedLines)
    token = getters.query_one("#selfchat-token", TonedLines)
    findings = getters.query_one("#selfchat-findings", FindingsList)

    def __init__(
        self,
        *,
        home: LabHome,
        environment: Environment,
        focus: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._home = home
        self._environment = environment
        self._clock = clock
        self._wanted = focus
        self._cache = FoldCache()
        self._runs: tuple[RunView, ...] = ()
        self._run: RunView | None = None
        self._feed: SelfchatFeed | None = None
        self._is_listing = self._is_reading = self._is_plotting = self._wants_whole = False
        self._num_plotted = -1
        self._plotted_s = 0.0
        self._ticked_s = time.monotonic()
        self._pane = PANES[0]
        self.viewing = Viewing(glyphs=environment.glyphs)

    def compose(self) -> ComposeResult:
        """Return the lists, the panes and the keys."""
        glyphs = self._environment.glyphs
        yield TonedLines(id="selfchat-top")
        yield Static("Reading the lab home ...", id="selfchat-notice", markup=False)
        with Horizontal(id="selfchat-body"):
            with Vertical(id="selfchat-side"):
                yield RunsList(id="selfchat-runs")
                yield TalksList(id="selfchat-talks")
            with Vertical(id="selfchat-main"):
                yield TonedLines(id="selfchat-panes")
                with Horizontal(id="selfchat-content"):
                    with Vertical(id="selfchat-talk"):
                        yield TonedLines(id="selfchat-head")
                        yield TranscriptView(glyphs=glyphs)
                        yield TonedLines(id="selfchat-replay")
                        yield TonedLines(id="selfchat-token")
                    yield FindingsList(id="selfchat-findings")
                    with Vertical(id="selfchat-curves"):
                        for number in range(NUM_CHARTS):
                            yield TurnChart(key=str(number), glyphs=glyphs)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Start to list and to follow."""
        self.body.display = False
        self.show_pane(self._pane)
        self.list_again()
        self.set_interval(LIST_S, self.list_again)
        self.set_interval(FOLLOW_S, self.follow)
        self.set_interval(1.0 / self._environment.frames_per_s, self.tick)
        self.talks.focus()

    def on_resize(self) -> None:
        """Share the room anew."""
        self.call_after_refresh(self.draw)

    @property
    def is_settled(self) -> bool:
        """Whether everything that was asked for was read and drawn."""
        is_busy = self._is_listing or self._is_reading or self._is_plotting
        return not is_busy and (not self._runs or self.viewing.held is not None)

    def list_again(self) -> None:
        """Read the lab home, unless another view is shown or the last reading goes on."""
        if not self._is_listing and self.app.screen_stack and self in self.app.screen_stack:
            self._is_listing = True
            self.read_runs()

    def follow(self) -> None:
        """Read what a living self-chat has said since."""
        if self._run is not None and self._run.state in ACTIVE and not self._is_reading:
            assert self._feed is not None
            self._is_reading = True
            self.read_talk(self._run.path, self._feed, is_whole=False)
        self._plot_again()

    def tick(self) -> None:
        """Let time pass in a replay."""
        now = time.monotonic()
        seconds, self._ticked_s = now - self._ticked_s, now
        if self.viewing.play(seconds):
            self._draw_talk()

    @work(thread=True, exclusive=True, exit_on_error=False, group="selfchat-runs")
    def read_runs(self) -> None:
        """Tell which self-chats there are."""
        try:
            self.post_message(RunsRead(selfchats(list_runs(self._home, self._cache))))
        except (LabError, OSError) as error:
            self.post_message(RunsRead((), f"cannot read {self._home.runs_dir}: {error}"))

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
            self.notice.update(message.problem)
            self.body.display, self.notice.display = False, True
            return
        self._runs = message.runs
        open_now = next(
            (one for one in self._runs if self._run and one.path == self._run.path), None
        )
        if open_now is None or self._wanted is not None:
            self._choose()
        else:
            has_ended = self._run is not None and self._run.state in ACTIVE
            self._run = open_now
            if has_ended and open_now.state not in ACTIVE:
                self._read_whole()
        self.draw()

    @on(HeldRead)
    def take_held(self, message: HeldRead) -> None:
        """Show what was said."""
        if self._run is None or message.run_dir != self._run.path:
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
        if self._run is None or message.run_dir != self._run.path:
            self._num_plotted = -1
            self._plot_again()
            return
        for number, chart in enumerate(self.query(TurnChart)):
            chart.plot = message.plots[number] if number < len(message.plots) else None
            chart.display = number < max(len(message.plots), 1)
        self._plot_again()

    @on(RowList.Taken, "#selfchat-runs")
    def open_taken(self, message: RowList.Taken) -> None:
        """Show another self-chat."""
        if message.row < len(self._runs):
            self._open(self._runs[message.row])
            self.draw()

    @on(RowList.Moved, "#selfchat-talks")
    def show_talk(self, message: RowList.Moved) -> None:
        """Show the conversation under the cursor."""
        if message.row < len(self.viewing.listed):
            self.viewing.turn_to(self.viewing.listed[message.row].number)
            self._draw_talk()

    @on(RowList.Taken, "#selfchat-talks")
    def read_on(self, message: RowList.Taken) -> None:
        """Go to the text of the conversation."""
        self.show_pane("talk")
        self.transcript.focus()

    @on(TranscriptView.SpotChosen)
    def choose_token(self, message: TranscriptView.SpotChosen) -> None:
        """Go to a token."""
        self.viewing.go_to(message.spot)
        self._draw_talk()

    def action_pane(self, name: str) -> None:
        """Show another pane."""
        self.show_pane(name)
        focus = {"talk": self.transcript, "findings": self.findings}.get(name)
        (focus or self.query(TurnChart).first()).focus()

    def action_play(self) -> None:
        """Play the conversation again, or pause."""
        self.viewing.toggle()
        self._draw_talk()

    def action_speed(self, by: int) -> None:
        """Play faster or slower."""
        self.viewing.head = self.viewing.head.faster(by)
        self._draw_talk()

    def action_step(self, by: int) -> None:
        """Show a token more or less."""
        self.viewing.step(by)
        self._draw_talk()

    def action_whole(self) -> None:
        """Show the whole conversation."""
        self.viewing.end_replay()
        self._draw_talk()

    def action_jump_turn(self) -> None:
        """Ask for a turn and go there."""
        script = self.viewing.script
        if script is None or not script.lengths:
            return

        num_turns = len(script.lengths)

        def check(text: str) -> None:
            if not text.isdecimal() or not 1 <= int(text) <= num_turns:
                raise UsageError(f"type the number of a turn, 1 to {num_turns}")

        def jump(text: str | None) -> None:
            if text is not None:
                self.viewing.jump(int(text) - 1)
                self._draw_talk()

        screen = AskTextScreen(
            question=f"Turn, 1 to {num_turns}", hint="Enter  go there     Esc  go back", check=check
        )
        self.app.push_screen(screen, jump)

    def action_checkpoint(self, by: int) -> None:
        """Show the same conversation at another checkpoint."""
        if self.viewing.scrub(by):
            self.draw()

    def action_filter(self) -> None:
        """List the conversations of the next setting alone, after the last one all."""
        self.viewing.filter_next()
        self.draw()

    def action_list(self) -> None:
        """Go back to the list."""
        self.talks.focus()

    def action_new(self) -> None:
        """Ask for the settings of another self-chat and start it."""

        def started(run_id: str | None) -> None:
            if run_id is not None:
                self.notify("It talks; every turn appears here as it is taken.", markup=False)
                self._wanted = next(self._home.runs_dir.glob(f"{run_id}-*"), None)
                self.list_again()

        self.app.push_screen(
            NewSelfchat(
                home=self._home, glyphs=self._environment.glyphs, clock=self._clock,
                models=self.viewing.models,
            ),
            started,
        )  # fmt: skip

    async def action_arena(self) -> None:
        """Ask the models of this conversation in the arena."""
        models = self.viewing.models
        await self.app.switch_mode("arena")
        arena = self.app.screen
        if isinstance(arena, ArenaScreen):
            arena.bring(models)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what there is nothing for."""
        needs_talk = ("play", "speed", "step", "whole", "jump_turn", "filter", "arena", "pane")
        if action in needs_talk and self.viewing.held is None:
            return None
        if action == "checkpoint" and len(self.viewing.versions) < 2:
            return None
        return True

    def show_pane(self, name: str) -> None:
        """Show another pane."""
        self._pane = name
        for pane in PANES:
            self.main.set_class(pane == name, f"-pane-{pane}")
        self.call_after_refresh(self.draw)

    def draw(self) -> None:
        """Show everything as it stands."""
        if not self.is_mounted:
            return
        self.body.display = bool(self._runs)
        self.notice.display = not self._runs
        if not self._runs:
            self.notice.update(NO_TALKS)
        self._draw_runs()
        width = max(self.talks.size.width - 1, 20)
        self.talks.lines = self.viewing.talk_lines(width)
        self.talks.cursor = self.viewing.row
        self.findings.lines = self.viewing.finding_lines(max(self.findings.size.width - 2, 30))
        self._draw_talk()
        self.refresh_bindings()

    def _draw_runs(self) -> None:
        glyphs, now = self._environment.glyphs, self._clock()
        width = max(self.runs_list.size.width - 1, 20)
        self.runs_list.lines = tuple(
            run_line(run, now=now, width=width, glyphs=glyphs) for run in self._runs
        )
        counts = f"{len(self._runs)} self-chat{'' if len(self._runs) == 1 else 's'}"
        name = self._run.name if self._run else counts
        self.top.lines = (self.viewing.top_line(name, self._run),)
        pieces = [
            Piece(f"[{place} {pane}]" if pane == self._pane else f" {place} {pane} ",
                  "active" if pane == self._pane else "quiet")
            for place, pane in enumerate(PANES, start=1)
        ]  # fmt: skip
        self.panes.lines = (ToneLine(tuple(pieces)),)

    def _draw_talk(self) -> None:
        viewing = self.viewing
        width = max(self.head.size.width, 20)
        self.head.lines = viewing.head_lines(width)
        self.transcript.show(viewing.script, limit=viewing.head.limit, spot=viewing.cursor)
        self.replay.lines = (viewing.replay_line(width),)
        self.token.lines = viewing.token_lines(width)

    def _choose(self) -> None:
        """Open the run that was asked for, else a living one, else the newest."""
        wanted = next((one for one in self._runs if one.path == self._wanted), None)
        if self._wanted is not None and wanted is None and self._run is None:
            self.notify(f"{self._wanted.name} is no self-chat", severity="warning", markup=False)
        if self._runs and (wanted is not None or self._run not in self._runs):
            at_work = [run for run in self._runs if run.state in ACTIVE - {"queued"}]
            self._open(wanted or (at_work or self._runs)[0])
            self.runs_list.cursor = self._runs.index(self._run) if self._run else 0
        self._wanted = None

    def _open(self, run: RunView) -> None:
        if self._run is not None and self._run.path == run.path and self.viewing.held:
            return
        self._run = run
        self._feed = SelfchatFeed(run.path)
        self._num_plotted = -1
        self._is_reading = False
        self.viewing = Viewing(glyphs=self._environment.glyphs)
        self._read_whole()

    def _read_whole(self) -> None:
        """Read everything; a feed has one reader at a time, so this may come after another."""
        self._wants_whole = self._is_reading
        if self._run is not None and self._feed is not None and not self._is_reading:
            self._is_reading = True
            self.read_talk(self._run.path, self._feed, is_whole=True)

    def _plot_again(self) -> None:
        """Make the curves where they are behind what was said."""
        held = self.viewing.held
        if held is None or self._is_plotting or self._run is None:
            return
        is_early = time.monotonic() - self._plotted_s < PLOT_EVERY_S and self._num_plotted >= 0
        if num_turns(held.experiment) != self._num_plotted and not is_early:
            self._is_plotting = True
            self.make_plots(self._run.path, held)

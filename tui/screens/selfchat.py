"""The self-chat view: models that talk to themselves, every token measured, live or replayed.

What is read, and when, is in selfchat_reading.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Static

from runs.paths import LabHome
from tui.screens.arena import ArenaScreen
from tui.screens.ask_text import ask_text
from tui.screens.selfchat_keys import PANES, SELFCHAT_KEYS
from tui.screens.selfchat_new import NewSelfchat
from tui.screens.selfchat_reading import SelfchatReading
from tui.selfchat.curves import TurnPlot
from tui.selfchat.lists import check_turn, pane_line, run_line
from tui.shell.environment import Environment
from tui.shell.format import counted
from tui.widgets.row_list import RowList
from tui.widgets.selfchat_lists import FindingsList, RunsList, TalksList
from tui.widgets.toned import TonedLines
from tui.widgets.transcript_view import TranscriptView
from tui.widgets.turn_chart import TurnChart

NUM_CHARTS = 4
NO_TALKS = """\
No self-chat in this lab home yet.

Press n to start one, or in another terminal:

    labcli selfchat --model last:sft"""


class SelfchatScreen(SelfchatReading):
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
        super().__init__(home=home, environment=environment, focus=focus, clock=clock)
        self._ticked_s = time.monotonic()
        self._pane = PANES[0]

    def compose(self) -> ComposeResult:
        """Return the lists, the panes and the keys."""
        glyphs = self.environment.glyphs
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
        """Let time pass, and begin at the list."""
        self.body.display = False
        self.show_pane(self._pane)
        self.set_interval(1.0 / self.environment.frames_per_s, self.tick)
        self.talks.focus()

    def on_resize(self) -> None:
        """Share the room anew."""
        self.call_after_refresh(self.draw)

    def tick(self) -> None:
        """Let time pass in a replay."""
        now = time.monotonic()
        seconds, self._ticked_s = now - self._ticked_s, now
        if self.viewing.play(seconds):
            self._draw_talk()

    @on(RowList.Taken, "#selfchat-runs")
    def open_taken(self, message: RowList.Taken) -> None:
        """Show another self-chat."""
        if message.row < len(self.runs):
            self.open_run(self.runs[message.row])
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

        def jump(text: str) -> None:
            self.viewing.jump(int(text) - 1)
            self._draw_talk()

        ask_text(
            self,
            f"Turn, 1 to {num_turns}",
            hint="Enter  go there     Esc  go back",
            check=partial(check_turn, num_turns=num_turns),
            then=jump,
        )

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
                self.wanted = next(self.home.runs_dir.glob(f"{run_id}-*"), None)
                self.list_again()

        self.app.push_screen(
            NewSelfchat(
                home=self.home, glyphs=self.environment.glyphs, clock=self.clock,
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

    def mark_run(self, place: int) -> None:
        """Mark the self-chat that was opened."""
        self.runs_list.cursor = place

    def show_plots(self, plots: tuple[TurnPlot, ...]) -> None:
        """Show the curves over turns, or in the first chart that there are none."""
        for number, chart in enumerate(self.query(TurnChart)):
            chart.plot = plots[number] if number < len(plots) else None
            chart.display = number < max(len(plots), 1)

    def show_unreadable(self, problem: str) -> None:
        """Say why the lab home cannot be read."""
        self.notice.update(problem)
        self.body.display, self.notice.display = False, True

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
        self.body.display = bool(self.runs)
        self.notice.display = not self.runs
        if not self.runs:
            self.notice.update(NO_TALKS)
        self._draw_runs()
        width = max(self.talks.size.width - 1, 20)
        self.talks.lines = self.viewing.talk_lines(width)
        self.talks.cursor = self.viewing.row
        self.findings.lines = self.viewing.finding_lines(max(self.findings.size.width - 2, 30))
        self._draw_talk()
        self.refresh_bindings()

    def _draw_runs(self) -> None:
        glyphs, now = self.environment.glyphs, self.clock()
        width = max(self.runs_list.size.width - 1, 20)
        self.runs_list.lines = tuple(
            run_line(run, now=now, width=width, glyphs=glyphs) for run in self.runs
        )
        counts = counted(len(self.runs), "self-chat")
        name = self.run.name if self.run else counts
        self.top.lines = (self.viewing.top_line(name, self.run),)
        self.panes.lines = (pane_line(PANES, self._pane),)

    def _draw_talk(self) -> None:
        viewing = self.viewing
        width = max(self.head.size.width, 20)
        self.head.lines = viewing.head_lines(width)
        self.transcript.show(viewing.script, limit=viewing.head.limit, spot=viewing.cursor)
        self.replay.lines = (viewing.replay_line(width),)
        self.token.lines = viewing.token_lines(width)

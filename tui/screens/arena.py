"""The arena: one prompt, up to six columns of models and settings, all answering at once.

Workers stream into lanes, which are plain Python; a timer draws what has changed.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Footer, Static
from textual.worker import Worker

from runs.errors import LabError
from runs.labels import add_vote
from runs.paths import LabHome
from tui.answering.answers import Answer
from tui.answering.asker import Asker
from tui.answering.chunks import Ask
from tui.answering.columns import (
    LABELS,
    MAX_LANES,
    Lane,
    Page,
    departure_of,
    page_of,
    verdict,
)
from tui.answering.models import ModelEntry, find, first_two
from tui.answering.sampling import TalkSettings
from tui.answering.saved import save_answers
from tui.screens.arena_keys import ARENA_KEYS
from tui.screens.asking import DEFAULTS, AskingScreen
from tui.screens.pick_model import NO_MODELS, ModelsListed
from tui.screens.sampling_form import SamplingForm
from tui.shell.environment import Environment
from tui.shell.printable import printable
from tui.shell.tones import Piece, ToneLine
from tui.widgets.arena_column import ArenaColumn, ColumnLines, Standing
from tui.widgets.prompt_box import PromptBox


class ArenaScreen(AskingScreen):
    """Several models side by side."""

    CSS_PATH = "arena.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    BINDING_GROUP_TITLE = "Arena"
    HELP = """\
One prompt, up to six columns: each is a model with settings of its own, and all answer at once.
Escape leaves the prompt, so that single letters are keys; left and right choose the column that
they are for. Blind hides who says what until you have voted; votes are kept, and
labcli compare --votes shows what they say.
"""
    BINDINGS: ClassVar[list[BindingType]] = [*ARENA_KEYS]

    top = getters.query_one("#arena-top", ColumnLines)
    row = getters.query_one("#arena-columns", Horizontal)
    notice = getters.query_one("#arena-notice", Static)
    prompt = getters.query_one(PromptBox)

    def __init__(
        self,
        *,
        home: LabHome,
        environment: Environment,
        asker: Asker,
        models: tuple[str, ...] = (),
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        super().__init__(
            home=home, environment=environment, asker=asker, models=models, clock=clock
        )
        # Not from the seed of the answers: who knows it would know the order of a blind vote.
        self._rng = rng or secrets.SystemRandom()
        self.lanes: list[Lane] = []
        self.current = 0
        self.is_blind = False
        self.is_revealed = False
        self._has_begun = False
        self._is_coloured = True
        self._workers: dict[int, Worker[None]] = {}

    def compose(self) -> ComposeResult:
        """Return the columns, the prompt and the keys."""
        yield ColumnLines(id="arena-top")
        yield Static("Reading the lab home ...", id="arena-notice", markup=False)
        yield Horizontal(id="arena-columns")
        yield PromptBox("Ask every column at once; Enter sends")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Find the models to begin with, and draw."""
        self.row.display = False
        self.prompt.focus()
        self.read_models()
        self.set_interval(1.0 / self.environment.frames_per_s, self.draw)

    def on_resize(self) -> None:
        """Share the room anew."""
        self.has_news = True

    @on(ModelsListed)
    def begin(self, message: ModelsListed) -> None:
        """Open the columns that were asked for, else those of the newest models."""
        found = [(wanted, find(message.models, wanted)) for wanted in self.wanted[:MAX_LANES]]
        for wanted, model in found:
            if model is None:
                self.tell(f"no model {wanted!r} in this lab home", is_refused=True)
        here = {lane.model.name for lane in self.lanes}
        chosen = [model for _, model in found if model is not None]
        for model in chosen or first_two(message.models):
            if len(self.lanes) < MAX_LANES and not (self._has_begun and model.name in here):
                self._add(model)
        self._has_begun = True
        if not self.lanes:
            self.notice.update(message.problem or NO_MODELS)

    def bring(self, models: tuple[str, ...]) -> None:
        """Give these models a column each where they have none, beside what is open."""
        self.wanted = models
        if self._has_begun:
            self.read_models()

    @on(PromptBox.Sent)
    def ask_all(self, message: PromptBox.Sent) -> None:
        """Ask every lane."""
        if not self.lanes:
            self.tell("there is no column yet; press Escape, then a", is_refused=True)
            return
        self._stop(self.lanes)
        if self.is_blind:
            self._rng.shuffle(self.lanes)
            self.is_revealed = False
            self._order_columns()
        for lane in self.lanes:
            lane.prompt = message.text
            self._ask(lane)

    @on(PromptBox.Left)
    def focus_columns(self) -> None:
        """Turn to the columns, or back to the prompt where there is none."""
        self._turn_to(self.current)

    @on(ArenaColumn.Chosen)
    def choose_column(self, message: ArenaColumn.Chosen) -> None:
        """Let keys be for the column that has the focus."""
        if message.column.lane in self.lanes:
            self.current = self.lanes.index(message.column.lane)
            self.has_news = True

    def draw(self) -> None:
        """Show every lane as it stands."""
        if not (self.has_news or any(lane.is_at_work for lane in self.lanes)):
            return
        self.has_news = False
        page = page_of(len(self.lanes), self.current, self.size.width)
        self.top.lines = (self._top_line(page), *self._asked_lines())
        self.row.display = bool(self.lanes)
        self.notice.display = not self.lanes
        waiting = self.waiting() if self._is_asking else ""
        for column in self.query(ArenaColumn):
            if column.lane not in self.lanes:
                continue
            place = self.lanes.index(column.lane)
            column.display = page.start <= place < page.stop
            if column.display:
                column.show(self._standing(place, waiting))

    def action_turn(self, by: int) -> None:
        """Turn to another column."""
        if self.lanes:
            self._turn_to((self.current + by) % len(self.lanes))

    def action_write(self) -> None:
        """Go back to the prompt."""
        self.prompt.focus()

    def action_number(self, number: int) -> None:
        """Vote for a column in a blind round, else turn to it."""
        if number > len(self.lanes):
            return
        if self.is_blind and not self.is_revealed:
            self._vote(number - 1)
        else:
            self._turn_to(number - 1)

    def action_tie(self) -> None:
        """Call all answers of a blind round equal."""
        if self.is_blind and not self.is_revealed:
            self._vote(None)

    def action_add(self) -> None:
        """Ask for a model and give it a column."""
        if len(self.lanes) >= MAX_LANES:
            self.tell(f"there is room for {MAX_LANES} columns; remove one first", is_refused=True)
            return
        self.pick(self._add)

    def action_remove(self) -> None:
        """Take the current column away."""
        if not self.lanes:
            return
        lane = self.lanes.pop(self.current)
        self._stop([lane])
        self._column(lane).remove()
        self.current = min(self.current, max(len(self.lanes) - 1, 0))
        self.has_news = True
        self._turn_to(self.current)

    def action_model(self) -> None:
        """Ask for another model for the current column."""
        if not self.lanes:
            return
        lane = self.lanes[self.current]

        def change(model: ModelEntry) -> None:
            self._stop([lane])
            lane.model, lane.answer = model, None
            self.has_news = True

        self.pick(change)

    def action_settings(self) -> None:
        """Change how the current column's answers are drawn."""
        if not self.lanes:
            return
        lane = self.lanes[self.current]

        def change(settings: TalkSettings | None) -> None:
            if settings is not None:
                lane.settings = settings
                self.has_news = True

        title = f"How column {LABELS[self.current]} draws its answers"
        self.app.push_screen(SamplingForm(settings=lane.settings, title=title), change)

    def action_stop(self) -> None:
        """End the current column's answer where it is."""
        self._stop(self.lanes[self.current : self.current + 1])

    def action_stop_all(self) -> None:
        """End every answer where it is."""
        self._stop(self.lanes)

    def action_retry(self) -> None:
        """Ask the current column again, with the next seed."""
        self._retry(self.lanes[self.current : self.current + 1])

    def action_retry_all(self) -> None:
        """Ask every column again, each with its next seed."""
        self._retry(self.lanes)

    def action_copy(self) -> None:
        """Offer the current answer to the clipboard, and keep it in a file."""
        answer = self.lanes[self.current].answer if self.lanes else None
        self.offer("" if answer is None else answer.shown)

    def action_blind(self) -> None:
        """Hide who says what until the next vote, or stop that."""
        self.is_blind = not self.is_blind
        self.is_revealed = False
        for lane in self.lanes if self.is_blind else ():
            # What was seen with its name is nothing to vote on.
            self._stop([lane])
            lane.answer = None
        told = "blind: the next answers come without names" if self.is_blind else "names are shown"
        self.tell(told)

    def action_colours(self) -> None:
        """Colour tokens by entropy, or not."""
        self._is_coloured = not self._is_coloured
        self.has_news = True

    def action_save(self) -> None:
        """Keep the whole answers in the lab home."""
        try:
            place = save_answers(self.home, self.lanes)
        except LabError as error:
            self.tell(str(error), is_refused=True)
        else:
            self.tell(f"saved in {place}")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide votes where there is nothing to vote on."""
        return not (action == "tie" and (not self.is_blind or self.is_revealed))

    @property
    def _is_asking(self) -> bool:
        return any(
            lane.answer is not None and lane.answer.phase == "waiting" for lane in self.lanes
        )

    def _add(self, model: ModelEntry) -> None:
        if len(self.lanes) >= MAX_LANES:
            return
        # A second column of one model is for another draw of it.
        num_same = sum(lane.model.name == model.name for lane in self.lanes)
        lane = Lane(model=model, settings=DEFAULTS.changed(seed=num_same))
        self.lanes.append(lane)
        self.row.mount(ArenaColumn(lane, glyphs=self.environment.glyphs))
        self.has_news = True

    def _ask(self, lane: Lane) -> None:
        lane.answer = Answer()
        ask = Ask(
            model=lane.model.name,
            is_base=lane.model.is_base,
            messages=[{"role": "user", "content": lane.prompt}],
            settings=lane.settings,
        )
        self._workers[id(lane)] = self.stream(ask, lane.answer)
        self.has_news = True

    def _retry(self, lanes: list[Lane]) -> None:
        asked = [lane for lane in lanes if lane.prompt]
        if not asked:
            self.tell("nothing has been asked yet", is_refused=True)
        self._stop(asked)
        for lane in asked:
            lane.settings = lane.settings.changed(seed=lane.settings.seed + 1)
            self._ask(lane)

    def _stop(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            worker = self._workers.pop(id(lane), None)
            if worker is not None and lane.is_at_work:
                worker.cancel()
        self.has_news = True

    def _vote(self, choice: int | None) -> None:
        try:
            decided = verdict(self.lanes, choice)
            for ballot in decided.ballots:
                add_vote(self.home, ballot)
        except LabError as error:
            self.tell(str(error), is_refused=True)
            return
        self.is_revealed = True
        num = len(decided.ballots)
        kept = "1 vote is kept" if num == 1 else f"{num} votes are kept"
        self.tell("; ".join(filter(None, (kept, decided.note))))

    def _turn_to(self, place: int) -> None:
        if not self.lanes:
            self.set_focus(None)
            return
        self.current = place
        column = self._column(self.lanes[place])
        column.display = True
        column.view.focus()
        self.has_news = True

    def _column(self, lane: Lane) -> ArenaColumn:
        return next(column for column in self.query(ArenaColumn) if column.lane is lane)

    def _order_columns(self) -> None:
        for lane in self.lanes:
            self.row.move_child(self._column(lane), after=-1)

    def _standing(self, place: int, waiting: str) -> Standing:
        lane = self.lanes[place]
        is_hidden = self.is_blind and not self.is_revealed
        return Standing(
            label=str(place + 1) if self.is_blind else LABELS[place],
            is_hidden=is_hidden,
            is_current=place == self.current,
            is_coloured=self._is_coloured,
            departure=departure_of(self.lanes[0], lane),
            waiting=waiting,
        )

    def _top_line(self, page: Page) -> ToneLine:
        pieces = [Piece("Arena", "active"), Piece("  ")]
        if not page.is_all:
            for place in range(len(self.lanes)):
                is_shown = page.start <= place < page.stop
                label = str(place + 1) if self.is_blind else LABELS[place]
                text = f"[{label}]" if is_shown else f" {label} "
                pieces.append(Piece(text, "strong" if is_shown else "quiet"))
        num_at_work = sum(lane.is_at_work for lane in self.lanes)
        columns = "1 column" if len(self.lanes) == 1 else f"{len(self.lanes)} columns"
        pieces.append(Piece(f"  {columns}", "quiet"))
        if num_at_work:
            pieces.append(Piece(f"  {num_at_work} answering", "active"))
        if self.is_blind:
            state = "revealed" if self.is_revealed else "blind: 1-6 or t votes"
            pieces.append(Piece(f"  {state}", "warning"))
        return ToneLine(tuple(pieces))

    def _asked_lines(self) -> tuple[ToneLine, ...]:
        """Return what the current column was asked last, on one line."""
        asked = self.lanes[self.current].prompt if self.lanes else ""
        if not asked:
            return ()
        glyphs = self.environment.glyphs
        text = glyphs.cut(" ".join(printable(asked).split()), max(self.size.width - 6, 8))
        return (ToneLine((Piece(f"{glyphs.cursor} ", "quiet"), Piece(text))),)

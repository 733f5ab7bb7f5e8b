"""The arena: one prompt, up to six columns of models and settings, all answering at once.

Workers stream into lanes, which are plain Python; a timer draws what has changed.
"""

from __future__ import annotations

from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Footer, Static

from runs.errors import LabError
from tui.answering.alternatives import token_lines
from tui.answering.columns import LABELS, MAX_LANES, Lane, departure_of, page_of
from tui.answering.models import NO_MODELS, ModelEntry, find, first_two
from tui.answering.sampling import TalkSettings
from tui.answering.saved import save_answers
from tui.screens.arena_keys import ARENA_KEYS
from tui.screens.arena_lanes import LanesScreen
from tui.screens.arena_top import asked_lines, label_of, top_line
from tui.screens.asking import ModelsListed
from tui.screens.sampling_form import SamplingForm
from tui.widgets.answer_view import AnswerView
from tui.widgets.arena_column import ArenaColumn, Standing
from tui.widgets.prompt_box import PromptBox
from tui.widgets.toned import TonedLines


class ArenaScreen(LanesScreen):
    """Several models side by side."""

    CSS_PATH = "arena.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    BINDING_GROUP_TITLE = "Arena"
    HELP = """\
One prompt, up to six columns: each is a model with settings of its own, and all answer at once.
Escape leaves the prompt, so that single letters are keys; left and right choose the column that
they are for. Blind hides who says what until you have voted; votes are kept, and
labcli compare --votes shows what they say. Comma and full stop walk through the tokens of an answer
and tell what else the model thought of; d goes where it departs from the first column.
"""
    BINDINGS: ClassVar[list[BindingType]] = [*ARENA_KEYS]

    top = getters.query_one("#arena-top", TonedLines)
    row = getters.query_one("#arena-columns", Horizontal)
    notice = getters.query_one("#arena-notice", Static)
    told = getters.query_one("#arena-token", TonedLines)
    prompt = getters.query_one(PromptBox)
    is_coloured = True

    def compose(self) -> ComposeResult:
        """Return the columns, the prompt and the keys."""
        yield TonedLines(id="arena-top")
        yield Static("Reading the lab home ...", id="arena-notice", markup=False)
        yield Horizontal(id="arena-columns")
        yield TonedLines(id="arena-token")
        yield PromptBox("Ask every column at once; Enter sends")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Find the models to begin with, and draw."""
        self.row.display = self.told.display = False
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
            if len(self.lanes) < MAX_LANES and not (self.has_begun and model.name in here):
                self._add(model)
        self.has_begun = True
        if not self.lanes:
            self.notice.update(message.problem or NO_MODELS)

    @on(PromptBox.Sent)
    def ask_all(self, message: PromptBox.Sent) -> None:
        """Ask every lane."""
        if not self.lanes:
            self.tell("there is no column yet; press Escape, then a", is_refused=True)
            return
        self.stop(self.lanes)
        if self.is_blind:
            self.shuffle()
            for lane in self.lanes:
                self.row.move_child(self._column(lane), after=-1)
        for lane in self.lanes:
            lane.prompt = message.text
            self.ask(lane)

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

    @on(AnswerView.Picked)
    def look_at_clicked(self, message: AnswerView.Picked) -> None:
        """Look into the token that was clicked; its column has the focus already."""
        lane = self.lane
        if lane is not None and lane.answer is not None:
            self.look_into(lane, lane.answer.tokens[message.index].last)

    def draw(self) -> None:
        """Show every lane as it stands."""
        if not (self.has_news or any(lane.is_at_work for lane in self.lanes)):
            return
        self.has_news = False
        page = page_of(len(self.lanes), self.current, self.size.width)
        top = top_line(self.lanes, page, is_blind=self.is_blind, is_revealed=self.is_revealed)
        asked = asked_lines(self.lane, self.environment.glyphs, self.size.width)
        self.top.lines = (top, *asked)
        self._tell_token()
        self.row.display = bool(self.lanes)
        self.notice.display = not self.lanes
        waiting = self.waiting() if self.is_waiting else ""
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
        if self.is_hidden:
            self.vote(number - 1)
        else:
            self._turn_to(number - 1)

    def action_tie(self) -> None:
        """Call all answers of a blind round equal."""
        if self.is_hidden:
            self.vote(None)

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
        self.stop([lane])
        self._column(lane).remove()
        self.current = min(self.current, max(len(self.lanes) - 1, 0))
        self.has_news = True
        self._turn_to(self.current)

    def action_model(self) -> None:
        """Ask for another model for the current column."""
        lane = self.lane
        if lane is None:
            return

        def change(model: ModelEntry) -> None:
            self.stop([lane])
            lane.model, lane.answer, lane.cursor = model, None, None
            self.has_news = True

        self.pick(change)

    def action_settings(self) -> None:
        """Change how the current column's answers are drawn."""
        lane = self.lane
        if lane is None:
            return

        def change(settings: TalkSettings | None) -> None:
            if settings is not None:
                lane.settings = settings
                self.has_news = True

        title = f"How column {LABELS[self.current]} draws its answers"
        self.app.push_screen(SamplingForm(settings=lane.settings, title=title), change)

    def action_stop(self) -> None:
        """End the current column's answer where it is."""
        self.stop(self.lanes[self.current : self.current + 1])

    def action_stop_all(self) -> None:
        """End every answer where it is."""
        self.stop(self.lanes)

    def action_retry(self) -> None:
        """Ask the current column again, with the next seed."""
        self.retry(self.lanes[self.current : self.current + 1])

    def action_retry_all(self) -> None:
        """Ask every column again, each with its next seed."""
        self.retry(self.lanes)

    def action_copy(self) -> None:
        """Offer the current answer to the clipboard, and keep it in a file."""
        answer = None if self.lane is None else self.lane.answer
        self.offer("" if answer is None else answer.shown)

    def action_blind(self) -> None:
        """Hide who says what until the next vote, or stop that."""
        self.is_blind = not self.is_blind
        self.is_revealed = False
        for lane in self.lanes if self.is_blind else ():
            # What was seen with its name is nothing to vote on.
            self.stop([lane])
            lane.answer, lane.cursor = None, None
        self.tell("blind: the next answers have no names" if self.is_blind else "names are shown")

    def action_colours(self) -> None:
        """Colour tokens by entropy, or not."""
        self.is_coloured = not self.is_coloured
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
        return action != "tie" or self.is_hidden

    def _add(self, model: ModelEntry) -> None:
        lane = self.add_lane(model)
        if lane is not None:
            self.row.mount(ArenaColumn(lane, glyphs=self.environment.glyphs))

    def _tell_token(self) -> None:
        """Show what the model thought at the token under the cursor of the current column."""
        lane = self.lane
        self.told.display = lane is not None and lane.cursor is not None
        if lane is not None and lane.cursor is not None and lane.answer is not None:
            names, glyphs = self.names.get(lane.model.name, {}), self.environment.glyphs
            self.told.lines = token_lines(lane.answer, lane.cursor, names, glyphs)

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

    def _standing(self, place: int, waiting: str) -> Standing:
        lane = self.lanes[place]
        return Standing(
            label=label_of(place, is_blind=self.is_blind),
            is_hidden=self.is_hidden,
            is_current=place == self.current,
            is_coloured=self.is_coloured,
            departure=departure_of(self.lanes[0], lane),
            cursor=lane.cursor_text,
            waiting=waiting,
        )

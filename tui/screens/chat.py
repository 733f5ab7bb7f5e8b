"""The chat: a talk of many turns with one model at a time, kept while other views are shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import ClassVar, Unpack

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static
from textual.worker import Worker

from runs.errors import LabError, UsageError
from tui.answering.models import NO_MODELS, first_two
from tui.answering.slash import (
    COMMANDS,
    SETTINGS,
    Given,
    changed_by,
    is_command,
    parse_command,
    usage_lines,
)
from tui.answering.talk import total_words
from tui.screens.asking import AskingGiven, ModelsListed
from tui.screens.chat_keys import CHAT_KEYS
from tui.screens.chat_talk import TalkScreen
from tui.screens.modal import HelpScreen, KeyHelp
from tui.widgets.prompt_box import PromptBox
from tui.widgets.toned import TonedLines
from tui.widgets.turn_view import TurnView

EMPTY = """\
Say something below.

/help lists the commands; Escape leaves the box, and single letters are keys then."""
MAX_HINTS = 5
DRAW_SHARE = 5
COMMAND_HELP = tuple(
    KeyHelp(key=f"/{name} {command.argument}".rstrip(), what=command.summary)
    for name, command in COMMANDS.items()
)


class ChatScreen(TalkScreen):
    """A talk with a model."""

    CSS_PATH = "chat.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    BINDING_GROUP_TITLE = "Chat"
    HELP = """\
A talk with one model at a time. Enter sends what is in the box; a line that begins with a slash
is a command, and /help lists them. Escape stops an answer, and otherwise leaves the box, so that
single letters are keys for the turn that has the focus.
"""
    BINDINGS: ClassVar[list[BindingType]] = [*CHAT_KEYS]

    area = getters.query_one("#turns", VerticalScroll)
    notice = getters.query_one("#chat-notice", Static)
    hint = getters.query_one("#chat-hint", Static)
    prompt = getters.query_one(PromptBox)

    def __init__(self, **given: Unpack[AskingGiven]) -> None:
        super().__init__(**given)
        self._worker: Worker[None] | None = None
        self._editing: int | None = None
        self._next_draw_s = 0.0
        self._acts: Mapping[str, Callable[[str], None]] = {
            "model": self.use_model,
            "seed": self.use_seed,
            "system": self.use_system,
            "stats": lambda _: self.tell(total_words(self.talk.turns)),
            "copy": lambda _: self.action_copy(),
            "save": self.save,
            "retry": lambda _: self.action_again(),
            "undo": lambda _: self._undo(),
            "clear": lambda _: self.action_clear(),
            "help": lambda _: self._help(),
            "quit": lambda _: self.app.exit(),
        }

    def compose(self) -> ComposeResult:
        """Return the turns, the box and the keys."""
        yield TonedLines(id="chat-top")
        yield Static("Reading the lab home ...", id="chat-notice", markup=False)
        yield VerticalScroll(id="turns", can_focus=False)
        yield Static("", id="chat-hint", markup=False)
        yield PromptBox("Say something, or /help; Enter sends")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Find the model to talk to, and draw."""
        self.hint.display = False
        self.area.anchor()
        self.prompt.focus()
        self._show_body()
        self.read_models()
        self.set_interval(1.0 / self.environment.frames_per_s, self.draw)

    @on(ModelsListed)
    def begin(self, message: ModelsListed) -> None:
        """Talk to the model that was asked for, else to the newest."""
        self.models = message.models
        for wanted in self.wanted[:1]:
            self.use_model(wanted)
        if self.talk.model is None and message.models:
            self.talk.model = first_two(message.models)[0]
        self.notice.update(EMPTY if message.models else message.problem or NO_MODELS)
        self.show_top()

    @on(PromptBox.Sent)
    def take_text(self, message: PromptBox.Sent) -> None:
        """Carry out a command, or ask the model."""
        text = message.text
        if is_command(text):
            try:
                self._obey(parse_command(text))
            except LabError as error:
                self.tell(str(error), is_refused=True)
            return
        place, self._editing = self._editing, None
        if place is not None:
            self._forget(place)
        self._say(text.removeprefix("/") if text.startswith("//") else text)

    @on(PromptBox.Left)
    def leave_box(self) -> None:
        """Stop an answer, else give up an edit, else turn to the turns."""
        if self.talk.is_at_work:
            self.action_stop()
        elif self._editing is not None:
            self._editing = None
            self.prompt.clear()
        elif self.talk.turns:
            self._focus_turn(len(self.talk.turns) - 1)
        else:
            self.set_focus(None)

    @on(PromptBox.Changed)
    def show_hint(self) -> None:
        """List the commands that what is written may become."""
        text = self.prompt.text
        lines: list[str] = []
        if text.startswith("/") and "\n" not in text:
            word = text[1:].partition(" ")[0]
            names = list(COMMANDS)
            lines = [
                line
                for name, line in zip(names, usage_lines(), strict=True)
                if name.startswith(word)
            ][:MAX_HINTS]
        elif self._editing is not None:
            lines = ["Enter asks the changed question and drops what followed; Escape gives it up."]
        self.hint.display = bool(lines)
        self.hint.update("\n".join(lines))

    async def draw(self) -> None:
        """Add what has arrived to the last turn."""
        began_s = time.monotonic()
        if began_s < self._next_draw_s:
            return
        waiting = self.waiting() if self.talk.is_at_work else ""
        for view in self.query(TurnView):
            await view.grow(waiting)
        # A long paragraph is laid out as a whole: it is drawn less often, so that keys are served.
        ended_s = time.monotonic()
        self._next_draw_s = ended_s + DRAW_SHARE * (ended_s - began_s)

    def action_write(self) -> None:
        """Go to the box."""
        self.prompt.focus()

    def action_stop(self) -> None:
        """End the answer where it is."""
        if self._worker is not None and self.talk.is_at_work:
            self._worker.cancel()

    def action_again(self) -> None:
        """Answer the question of the focused turn, else of the last one, again."""
        place = self._place()
        if place is None:
            self.tell("nothing has been asked yet", is_refused=True)
            return
        text = self.talk.turns[place].text
        self._forget(place)
        self._say(text)

    def action_edit(self) -> None:
        """Take the question of a turn back into the box."""
        place = self._place()
        if place is None:
            self.tell("nothing has been asked yet", is_refused=True)
            return
        self._editing = place
        self.prompt.write(self.talk.turns[place].text)
        self.prompt.focus()

    def action_copy(self) -> None:
        """Offer the answer of a turn to the clipboard, and keep it in a file."""
        place = self._place()
        self.offer("" if place is None else self.talk.turns[place].answer.shown)

    def action_clear(self) -> None:
        """Begin a new conversation."""
        self._editing = None
        self._forget(0)
        self.prompt.focus()

    def action_step(self, by: int) -> None:
        """Go to another turn, or past the last one to the box."""
        place = self._place()
        if place is None or place + by >= len(self.talk.turns):
            self.prompt.focus()
        else:
            self._focus_turn(max(place + by, 0))

    def _say(self, text: str) -> None:
        if self.talk.is_at_work:
            self.action_stop()
            self.talk.turns[-1].answer.stop()
        try:
            turn, ask = self.talk.say(text)
        except UsageError as error:
            self.tell(str(error), is_refused=True)
            return
        self._show_body()
        self.area.mount(TurnView(turn, glyphs=self.environment.glyphs))
        self.area.anchor()
        self._worker = self.stream(ask, turn.answer)

    def _forget(self, place: int) -> None:
        if self.talk.is_at_work:
            self.action_stop()
        forgotten = self.talk.cut(place)
        for view in self.query(TurnView):
            if view.turn in forgotten:
                view.remove()
        self._show_body()

    def _obey(self, given: Given) -> None:
        if given.name in SETTINGS:
            if given.argument:
                self.draw_by(changed_by(self.talk.settings, given))
            self.tell(self.talk.settings.summary())
        else:
            self._acts[given.name](given.argument)

    def _undo(self) -> None:
        if self.talk.turns:
            self._forget(len(self.talk.turns) - 1)

    def _help(self) -> None:
        text = "Commands begin a line; //text says /text. Ctrl+J begins a new line."
        screen = HelpScreen(title="Chat commands", text=text, keys=COMMAND_HELP)
        self.app.push_screen(screen)

    def _show_body(self) -> None:
        self.area.display = bool(self.talk.turns)
        self.notice.display = not self.talk.turns

    def _place(self) -> int | None:
        """Return the turn that keys are for: the focused one, else the last."""
        focused = self.focused
        if isinstance(focused, TurnView) and focused.turn in self.talk.turns:
            return self.talk.turns.index(focused.turn)
        return len(self.talk.turns) - 1 if self.talk.turns else None

    def _focus_turn(self, place: int) -> None:
        for view in self.query(TurnView):
            if view.turn is self.talk.turns[place]:
                view.focus()

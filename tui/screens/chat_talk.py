"""The talk of the chat: with whom, how the next answers are drawn, and where it is kept.

The turns that are shown, and the keys, are the chat's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from textual import getters

from runs.errors import LabError, UsageError
from runs.ids import new_ulid
from tui.answering.models import ModelEntry, find
from tui.answering.sampling import TalkSettings
from tui.answering.slash import OFF, seed_of
from tui.answering.talk import Talk
from tui.answering.transcript_file import save_transcript
from tui.screens.asking import DEFAULTS, AskingGiven, AskingScreen
from tui.screens.sampling_form import SamplingForm
from tui.shell.format import counted
from tui.shell.tones import Piece, ToneLine
from tui.widgets.toned import TonedLines

MAX_TEMPERATURE, MAX_TOP_K = 2.0, 200


class TalkScreen(AskingScreen):
    """A talk with one model at a time."""

    top = getters.query_one("#chat-top", TonedLines)

    def __init__(self, **given: Unpack[AskingGiven]) -> None:
        super().__init__(**given)
        self.talk = Talk(DEFAULTS)
        self.models: tuple[ModelEntry, ...] = ()

    def action_model(self) -> None:
        """Ask for another model."""
        self.pick(self.switch)

    def action_settings(self) -> None:
        """Change how the next answers are drawn."""

        def change(settings: TalkSettings | None) -> None:
            if settings is not None:
                self.draw_by(settings)

        form = SamplingForm(settings=self.talk.settings, title="How the next answers are drawn")
        self.app.push_screen(form, change)

    def action_temperature(self, by: float) -> None:
        """Raise or lower the temperature."""
        wanted = min(max(self.talk.settings.temperature + by, 0.0), MAX_TEMPERATURE)
        self.draw_by(self.talk.settings.changed(temperature=round(wanted, 2)))

    def action_top_k(self, times: float) -> None:
        """Widen or narrow top-k."""
        wanted = round((self.talk.settings.top_k or MAX_TOP_K) * times)
        self.draw_by(self.talk.settings.changed(top_k=min(max(wanted, 1), MAX_TOP_K)))

    def action_keep(self) -> None:
        """Write the talk to a file among the generations of the lab home."""
        place = self.home.generations_dir / f"{new_ulid()}-chat.json"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            self.write_talk(place, is_forced=False)
        except OSError as error:
            self.tell(f"cannot write {place}: {error.strerror}", is_refused=True)
        except LabError as error:
            self.tell(str(error), is_refused=True)

    def use_model(self, reference: str) -> None:
        """Talk to the model of a reference, or ask for one."""
        if not reference:
            self.action_model()
            return
        model = find(self.models, reference)
        if model is None:
            self.tell(f"no model {reference!r}; /model lists all", is_refused=True)
        else:
            self.switch(model)

    def use_seed(self, argument: str) -> None:
        """Draw the next answers by another seed, and tell how they are drawn."""
        if argument:
            self.talk.seed(seed_of(argument))
        self.draw_by(self.talk.settings)
        self.tell(self.talk.settings.summary())

    def use_system(self, argument: str) -> None:
        """Put words before the first question, or tell which there are."""
        if argument:
            self.talk.system = None if argument == OFF else argument
        self.tell(f"system: {self.talk.system or 'none'}")

    def save(self, argument: str) -> None:
        """Write the talk to a file that was named, perhaps with --force before it."""
        is_forced = argument.startswith("--force ")
        name = argument.removeprefix("--force ").strip()
        if not name:
            raise UsageError("/save needs a file: /save talk.md or /save talk.json")
        self.write_talk(Path(name).expanduser(), is_forced=is_forced)

    def write_talk(self, path: Path, *, is_forced: bool) -> None:
        """Write the talk to a file and tell so."""
        transcript = self.talk.transcript()
        if not transcript.turns:
            raise UsageError("nothing has been answered yet")
        save_transcript(transcript, path, is_forced=is_forced)
        self.tell(f"saved {counted(len(transcript.turns), 'turn')} to {path}")

    def switch(self, model: ModelEntry) -> None:
        """Talk to another model."""
        self.talk.model = model
        self.show_top()

    def draw_by(self, settings: TalkSettings) -> None:
        """Draw the next answers in another way."""
        self.talk.settings = settings
        self.show_top()

    def show_top(self) -> None:
        """Show who is talked to and how the next answers are drawn."""
        model = self.talk.model
        name = "no model" if model is None else model.name
        pieces = [Piece("Chat  ", "active"), Piece(name, "strong")]
        if model is not None and model.is_base:
            pieces.append(Piece("  goes on with a text", "warning"))
        settings = self.talk.settings
        top_k = OFF if settings.top_k is None else str(settings.top_k)
        words = f"  T {settings.temperature:g}  k {top_k}  max {settings.max_new_tokens}"
        self.top.lines = (ToneLine((*pieces, Piece(words, "quiet"))),)

"""What the screens that ask a model share: finding models, streaming answers, taking text along."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NotRequired, TypedDict, Unpack

from textual import work
from textual.message import Message
from textual.screen import Screen

from runs.errors import LabError
from runs.paths import LabHome
from tui.answering.answers import Answer
from tui.answering.asker import Asker
from tui.answering.chunks import Ask
from tui.answering.models import ModelEntry, list_models
from tui.answering.sampling import TalkSettings
from tui.screens.pick_model import PickModelScreen
from tui.shell.clipboard import offer_copy
from tui.shell.environment import Environment

DEFAULTS = TalkSettings(temperature=0.6, top_k=50, seed=0, max_new_tokens=256)


@dataclass
class ModelsListed(Message):
    """The lab home was read; `problem` says why it could not be."""

    models: tuple[ModelEntry, ...]
    problem: str = ""


class AskingGiven(TypedDict):
    """What a screen that asks a model is given; `models` are references as people type them."""

    home: LabHome
    environment: Environment
    asker: Asker
    models: NotRequired[tuple[str, ...]]
    clock: NotRequired[Callable[[], float]]


class AskingScreen(Screen[None]):
    """A screen over the models of a lab home; `has_news` asks for the next drawing."""

    def __init__(self, **given: Unpack[AskingGiven]) -> None:
        super().__init__()
        self.home = given["home"]
        self.environment = given["environment"]
        self.asker = given["asker"]
        self.wanted = given.get("models", ())
        self.clock = given.get("clock", time.time)
        self.has_news = True

    @work(thread=True, exclusive=True, exit_on_error=False, group="models")
    def read_models(self) -> None:
        """Tell which models there are."""
        try:
            self.post_message(ModelsListed(tuple(list_models(self.home))))
        except (LabError, OSError) as error:
            self.post_message(ModelsListed((), f"cannot read {self.home.runs_dir}: {error}"))

    @work(exit_on_error=False)
    async def stream(self, ask: Ask, answer: Answer) -> None:
        """Take an answer in, token by token; what goes wrong stands in it."""
        try:
            async for chunk in self.asker.client(self.home).answer(ask):
                answer.take(chunk)
        except (LabError, OSError, ValueError, KeyError) as error:
            answer.fail(f"{error} (r asks again)")
        finally:
            # Cancelled, or a stream without its last chunk.
            answer.stop()
            self.has_news = True

    def waiting(self) -> str:
        """Return what the model server is busy with before it can answer; "" when nothing."""
        return self.asker.client(self.home).server.waiting()

    def pick(self, take: Callable[[ModelEntry], None]) -> None:
        """Let a person choose a model, and hand it over."""

        def picked(model: ModelEntry | None) -> None:
            if model is not None:
                take(model)

        glyphs = self.environment.glyphs
        screen = PickModelScreen(home=self.home, glyphs=glyphs, clock=self.clock)
        self.app.push_screen(screen, picked)

    def offer(self, text: str) -> None:
        """Copy what was answered."""
        offer_copy(self, self.home, text, nothing="nothing has been answered yet")

    def tell(self, text: str, *, is_refused: bool = False) -> None:
        """Say something in passing."""
        self.notify(text, severity="warning" if is_refused else "information", markup=False)
        self.has_news = True

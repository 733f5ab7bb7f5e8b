"""A new self-chat as a form: who talks, about what, how often; checked while it is typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from runs.errors import LabError, UsageError
from runs.paths import LabHome
from tui.answering.models import ModelEntry
from tui.screens.pick_model import PickModelScreen
from tui.selfchat.starting import Wanted, start, topics_of
from tui.shell.glyphs import Glyphs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    label: str
    value: str
    hint: str


NEWEST, EVERY = "newest", "every"
FIELDS = (
    _Field(name="model-a", label="Model", value="", hint="F4 shows those of this lab home"),
    _Field(name="model-b", label="Talks with", value="", hint="empty: itself; F4 as above"),
    _Field(name="temperatures", label="Temperatures", value="0.6,1.0", hint="each is a setting"),
    _Field(name="top-ks", label="Top-k", value="50", hint="each is a setting; none: all"),
    _Field(name="turns", label="Turns", value="6", hint="after the topic"),
    _Field(name="seeds", label="Seeds", value="4", hint="times every topic is talked about"),
    _Field(name="topics", label="Topics", value="", hint="a | between; empty: eight built-in"),
    _Field(name="checkpoints", label="Checkpoints", value=NEWEST,
           hint=f"{NEWEST}, or {EVERY}: all that the run kept"),
    _Field(name="name", label="Name", value="", hint="of the run; may stay empty"),
)  # fmt: skip


class NewSelfchat(ModalScreen[str | None]):
    """The settings of a self-chat; the result is the id of the run that was started."""

    CSS_PATH = "selfchat_new.tcss"
    BINDING_GROUP_TITLE = "New self-chat"
    HELP = """\
Tab and the arrows go from field to field, F4 lists the models for the field, Enter starts the
self-chat. It is a run of its own and goes on when the app is left.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="new-selfchat.leave", tooltip="Start nothing."),
        Binding("f4", "pick", "Models", id="new-selfchat.pick", priority=True,
                tooltip="Choose the model of the field from a list."),
        Binding("down", "go(1)", "Down", show=False, id="new-selfchat.down",
                tooltip="Next field."),
        Binding("up", "go(-1)", "Up", show=False, id="new-selfchat.up", tooltip="Field before."),
    ]  # fmt: skip

    verdict = getters.query_one("#new-verdict", Static)

    def __init__(
        self,
        *,
        home: LabHome,
        glyphs: Glyphs,
        clock: Callable[[], float],
        models: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self._home = home
        self._glyphs = glyphs
        self._clock = clock
        self._models = dict(zip(("model-a", "model-b"), models, strict=False))
        self._is_starting = False

    def compose(self) -> ComposeResult:
        """Return a row per setting."""
        with Vertical(id="new-selfchat"):
            yield Static("A new self-chat", classes="dialog-title", markup=False)
            for item in FIELDS:
                with Horizontal(classes="row"):
                    yield Static(item.label, classes="label", markup=False)
                    value = self._models.get(item.name, item.value)
                    yield Input(value, id=f"new-{item.name}", placeholder=item.hint)
            yield Static("", id="new-verdict", markup=False)
            yield Static("Enter  start it     F4  models     Esc  go back", classes="keys",
                         markup=False)  # fmt: skip

    def on_mount(self) -> None:
        """Say how much it would be."""
        self.check()

    @on(Input.Changed)
    def check(self) -> None:
        """Say how much will be said, or what is wrong with a field."""
        if self._is_starting:
            return
        try:
            self._say(self._wanted().size())
        except UsageError as error:
            self._say(str(error), is_wrong=True)

    @on(Input.Submitted)
    def submit(self) -> None:
        """Start it."""
        if self._is_starting:
            return
        try:
            wanted = self._wanted()
            wanted.config()
        except UsageError as error:
            self._say(str(error), is_wrong=True)
            return
        self._is_starting = True
        self._say("Starting ...")
        self.begin(wanted)

    @work(exit_on_error=False)
    async def begin(self, wanted: Wanted) -> None:
        """Start the run, and close when it stands."""
        try:
            run_id = await start(wanted, self._home)
        except (LabError, OSError, ValueError, KeyError) as error:
            self._is_starting = False
            self._say(str(error), is_wrong=True)
        else:
            self.dismiss(run_id)

    def action_pick(self) -> None:
        """Let a person choose a model for the field."""
        focused = self.focused
        is_second = isinstance(focused, Input) and focused.id == "new-model-b"
        field = self._field("model-b" if is_second else "model-a")

        def picked(model: ModelEntry | None) -> None:
            if model is not None:
                field.value = model.name
            field.focus()

        screen = PickModelScreen(home=self._home, glyphs=self._glyphs, clock=self._clock)
        self.app.push_screen(screen, picked)

    def action_go(self, by: int) -> None:
        """Go to another field."""
        if by > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def action_leave(self) -> None:
        """Close without a start."""
        self.dismiss(None)

    def _wanted(self) -> Wanted:
        models = [self._text(name) for name in ("model-a", "model-b")]
        which = self._text("checkpoints")
        if which not in (NEWEST, EVERY):
            raise UsageError(f"checkpoints are {NEWEST} or {EVERY}, not {which!r}")
        return Wanted(
            models=tuple(dict.fromkeys(model for model in models if model)),
            temperatures=self._text("temperatures"),
            top_ks=self._text("top-ks"),
            turns=self._text("turns"),
            seeds=self._text("seeds"),
            topics=topics_of(self._text("topics")),
            is_timeline=which == EVERY,
            name=self._text("name"),
        )

    def _text(self, name: str) -> str:
        return self._field(name).value.strip()

    def _field(self, name: str) -> Input:
        return self.query_one(f"#new-{name}", Input)

    def _say(self, text: str, *, is_wrong: bool = False) -> None:
        self.verdict.update(text)
        self.verdict.set_class(is_wrong, "-wrong")

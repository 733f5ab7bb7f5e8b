"""How answers are drawn, as a form: one field per setting, checked before it closes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from runs.errors import UsageError
from tui.answering.sampling import TalkSettings
from tui.answering.slash import OFF, SETTINGS, Given, changed_by, seed_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """A field: the slash command that it stands for, its label and what may be typed."""

    command: str
    label: str
    hint: str


FIELDS = (
    _Field(command="temperature", label="Temperature", hint="0 draws nothing; 2 at most"),
    _Field(command="topk", label="Top-k", hint="1 to 200, or off"),
    _Field(command="topp", label="Top-p", hint="above 0 to 1, or off"),
    _Field(command="minp", label="Min-p", hint="above 0 to 1, or off"),
    _Field(command="penalty", label="Repetition penalty", hint="1 is none"),
    _Field(command="max", label="At most", hint="tokens in an answer"),
    _Field(command="seed", label="Seed", hint="equal seeds draw equal answers"),
)


class SamplingForm(ModalScreen[TalkSettings | None]):
    """The settings of one column or talk; the result is what they are changed to."""

    CSS_PATH = "sampling_form.tcss"
    BINDING_GROUP_TITLE = "Sampling"
    HELP = "Tab goes to the next field, Enter takes all of them, Escape leaves them as they were."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="sampling.leave", tooltip="Change nothing."),
        Binding("down", "step(1)", "Down", show=False, id="sampling.down", tooltip="Next field."),
        Binding("up", "step(-1)", "Up", show=False, id="sampling.up", tooltip="Field before."),
    ]

    problem = getters.query_one("#sampling-problem", Static)

    def __init__(self, *, settings: TalkSettings, title: str) -> None:
        super().__init__()
        self._settings = settings
        self._title = title

    def compose(self) -> ComposeResult:
        """Return a row per setting."""
        with Vertical(id="sampling"):
            yield Static(self._title, classes="dialog-title", markup=False)
            for item in FIELDS:
                with Horizontal(classes="row"):
                    yield Static(item.label, classes="label", markup=False)
                    yield Input(_shown(self._settings, item.command), id=f"field-{item.command}")
                    yield Static(item.hint, classes="hint", markup=False)
            yield Static("", id="sampling-problem", markup=False)
            yield Static("Enter  take them     Esc  go back", classes="keys", markup=False)

    @on(Input.Submitted)
    def take(self) -> None:
        """Close with the settings, or say in place what is wrong with one."""
        settings = self._settings
        for item in FIELDS:
            field = self.query_one(f"#field-{item.command}", Input)
            try:
                settings = _changed(settings, item.command, field.value.strip())
            except UsageError as error:
                self.problem.update(str(error))
                field.focus()
                return
        self.dismiss(settings)

    def action_step(self, by: int) -> None:
        """Go to another field."""
        if by > 0:
            self.focus_next(Input)
        else:
            self.focus_previous(Input)

    def action_leave(self) -> None:
        """Close without a change."""
        self.dismiss(None)


def _shown(settings: TalkSettings, command: str) -> str:
    name = "seed" if command == "seed" else SETTINGS[command][0]
    value = getattr(settings, name)
    return OFF if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _changed(settings: TalkSettings, command: str, text: str) -> TalkSettings:
    if command == "seed":
        return settings.changed(seed=seed_of(text))
    return changed_by(settings, Given(name=command, argument=text))

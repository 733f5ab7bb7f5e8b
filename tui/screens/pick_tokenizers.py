"""Choosing the tokenizers that the playground compares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import getters, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from runs.errors import LabError
from tui.tokens.vocabularies import Choice, Vocabularies

MAX_TOKENIZERS = 3


class TokenizerPicker(ModalScreen[tuple[str, ...] | None]):
    """The tokenizers at hand; the result is those to show, in the order chosen."""

    CSS_PATH = "modal.tcss"
    BINDING_GROUP_TITLE = "Tokenizers"
    HELP = "Space chooses, Enter shows the chosen ones side by side, Escape leaves all as it was."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="picker.leave", tooltip="Leave all as it was."),
        Binding(
            "space",
            "choose",
            "Choose",
            id="picker.choose",
            tooltip="Choose the tokenizer under the cursor, or leave it out.",
        ),
        Binding(
            "enter",
            "done",
            "Show",
            priority=True,
            id="picker.done",
            tooltip="Show the chosen tokenizers side by side.",
        ),
    ]

    options = getters.query_one("#choices", OptionList)
    typed = getters.query_one(Input)
    hint = getters.query_one("#hint", Static)

    def __init__(self, *, vocabularies: Vocabularies, chosen: Sequence[str]) -> None:
        super().__init__()
        self._vocabularies = vocabularies
        self._chosen = tuple(chosen)
        self._labels: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """Return the list, a line for other names, and what the keys do."""
        with Vertical(id="dialog", classes="picker"):
            yield Static("Tokenizers to compare, three at most", classes="dialog-title")
            yield OptionList(id="choices", markup=False)
            yield Input(placeholder="or a file, saved name or run", compact=True)
            yield Static("Reading the lab home ...", id="hint", classes="hint", markup=False)

    def on_mount(self) -> None:
        """Look for tokenizers."""
        self.find_choices()

    @work(thread=True, exit_on_error=False, group="choices")
    def find_choices(self) -> None:
        """List what there is; reading many runs takes a while."""
        try:
            found, problem = self._vocabularies.choices(), ""
        except (LabError, OSError) as error:
            found, problem = (), str(error)
        self.app.call_from_thread(self.show_choices, found, problem)

    def show_choices(self, found: tuple[Choice, ...], problem: str) -> None:
        """Show the list, the chosen ones first."""
        if not self.is_attached:
            return
        known = {choice.ref for choice in found}
        given = [Choice(ref=ref, kind="given") for ref in self._chosen if ref not in known]
        for choice in (*given, *found):
            remark = f", {choice.remark}" if choice.remark else ""
            self._labels[choice.ref] = f"{choice.ref}  ({choice.kind}{remark})"
            self.options.add_option(Option(self._prompt(choice.ref), id=choice.ref))
        self.hint.update(problem or "Space choose   Enter show   Tab type a name   Esc back")
        self.options.highlighted = 0 if self._labels else None
        self.options.focus()

    def action_choose(self) -> None:
        """Choose the tokenizer under the cursor, or leave it out."""
        option = self.options.highlighted_option
        if option is None or option.id is None or not self.options.has_focus:
            return
        ref = option.id
        has_it = ref in self._chosen
        self._chosen = tuple(
            [one for one in self._chosen if one != ref] if has_it else [*self._chosen, ref]
        )
        self.options.replace_option_prompt(ref, self._prompt(ref))

    def action_done(self) -> None:
        """Close with the chosen tokenizers and the typed one."""
        typed = self.typed.value.strip()
        wanted = tuple(dict.fromkeys([*self._chosen, *([typed] if typed else [])]))
        if not 0 < len(wanted) <= MAX_TOKENIZERS:
            self.hint.update(f"choose one to {MAX_TOKENIZERS} tokenizers, not {len(wanted)}")
            return
        self.dismiss(wanted)

    def action_leave(self) -> None:
        """Close without a change."""
        self.dismiss(None)

    def _prompt(self, ref: str) -> str:
        return f"[{'x' if ref in self._chosen else ' '}] {self._labels[ref]}"

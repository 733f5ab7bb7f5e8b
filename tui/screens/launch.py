"""Launching a run: a form of every setting, the plan beside it, and the command that it stands for.

The rows come from core.config, the plan from core.plan; `labcli run` itself starts the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Footer, Input, Static
from textual.worker import get_current_worker

from core.hardware import Hardware, detect
from runs.errors import LabError
from runs.paths import LabHome, lab_home
from runs.settings import load_settings
from runs.views.query import run_dirs
from tui.launch.draft import Draft, command_line, run_words
from tui.launch.examine import Examined, examine
from tui.launch.fields import Field, FormLine, Offers, form_lines, nothing_found, run_fields
from tui.launch.rows import FormState, form_row, problem_note, row_note
from tui.launch.start import Started, start_run
from tui.screens.launch_keys import KEYS
from tui.screens.modal import ConfirmScreen
from tui.shell.clipboard import offer_copy
from tui.shell.environment import Environment
from tui.widgets.pick_list import PickList
from tui.widgets.plan_view import PlanView
from tui.widgets.value_input import ValueInput

# From the last key to the plan: a word is typed faster, and a plan takes about 10 ms.
DEBOUNCE_S = 0.12
MAX_RUNS_OFFERED = 200


@dataclass
class DraftExamined(Message):
    """The plan of a draft is known."""

    examined: Examined


@dataclass
class MachineSeen(Message):
    """What this machine is, and which runs could be taken from."""

    hardware: Hardware
    runs: tuple[str, ...]


@dataclass
class RunStarted(Message):
    """A run was started."""

    started: Started


@dataclass
class StartRefused(Message):
    """The command refused; `told` is its own line."""

    told: str


class LaunchScreen(Screen[Path | None]):
    """The form; the result is the directory of the run that was started."""

    CSS_PATH = "launch.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (72, "-narrow"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    BINDING_GROUP_TITLE = "New run"
    HELP = """\
Every option and setting of a run, with the plan beside it. The arrows choose a row, typing
changes it, a star marks what differs from the preset, and an exclamation mark what cannot be.
Ctrl+T finds a setting by a part of its name, and takes stage.key=value there. Below is the
command that the form stands for; Ctrl+S starts it in the background.
"""
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

    top = getters.query_one("#launch-top", Static)
    finder = getters.query_one("#launch-find", Input)
    listed = getters.query_one(PickList)
    plan = getters.query_one(PlanView)
    label = getters.query_one("#launch-key", Static)
    value = getters.query_one(ValueInput)
    note = getters.query_one("#launch-note", Static)
    problem = getters.query_one("#launch-problem", Static)
    command = getters.query_one("#launch-command", Static)

    def __init__(
        self, *, home: LabHome, environment: Environment, clock: Callable[[], float]
    ) -> None:
        super().__init__()
        self._home = home
        self._glyphs = environment.glyphs
        self._clock = clock
        self._draft = Draft()
        self._fields: tuple[Field, ...] = run_fields(Offers())
        self._lines: tuple[FormLine, ...] = ()
        self._key = self._fields[0].key
        self._state = FormState()
        self._examined: Examined | None = None
        self._hardware: Hardware | None = None
        self._runs: tuple[str, ...] = ()
        self._is_changed_only = False
        self._refused = ""
        self._started_s: float | None = None
        self._due: Timer | None = None

    def compose(self) -> ComposeResult:
        """Return the form, the plan, the field, and the command."""
        yield Static("New run", id="launch-top", markup=False)
        yield Input(placeholder="find a setting, or stage.key=value  (Ctrl+T)", id="launch-find")
        with Horizontal(id="launch-body"):
            yield PickList(id="launch-rows")
            yield PlanView(glyphs=self._glyphs)
        with Horizontal(id="launch-edit"):
            yield Static("", id="launch-key", markup=False)
            yield ValueInput(widget_id="launch-value")
        yield Static("", id="launch-note", markup=False)
        yield Static("", id="launch-problem", markup=False)
        yield Static("", id="launch-command", markup=False)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Look at the machine, and begin at the first row."""
        self.value.focus()
        self._lay_out()
        self.look_around()

    def on_resize(self) -> None:
        """Cut the rows at the new width, once it is known."""
        self.call_after_refresh(self._draw)

    @property
    def is_settled(self) -> bool:
        """Whether what is shown is what the draft comes to."""
        return self._examined is not None and self._examined.draft == self._draft

    @work(thread=True, exclusive=True, exit_on_error=False, group="machine")
    def look_around(self) -> None:
        """Tell what this machine is and which runs there are."""
        try:
            runs = tuple(path.name[27:] for path in run_dirs(self._home)[:MAX_RUNS_OFFERED])
        except OSError:
            # The form plans without them; `labcli run` says what is wrong with the lab home.
            runs = ()
        try:
            hardware = detect(load_settings(self._home, os.environ).hardware)
        except LabError:
            # As above: what is wrong with the settings is the command's to say.
            hardware = detect()
        self.post_message(MachineSeen(hardware, runs))

    @work(thread=True, exclusive=True, exit_on_error=False, group="plan")
    def examine_draft(self, draft: Draft, hardware: Hardware) -> None:
        """Tell what a draft comes to."""
        worker = get_current_worker()
        examined = examine(draft, self._home, hardware, self._runs)
        if not worker.is_cancelled:
            self.post_message(DraftExamined(examined))

    @work(exit_on_error=False, exclusive=True, group="start")
    async def send_start(self, words: tuple[str, ...]) -> None:
        """Start the run, and tell how that went."""
        try:
            self.post_message(RunStarted(await start_run(self._home, words)))
        except LabError as error:
            self.post_message(StartRefused(str(error)))

    @on(MachineSeen)
    def take_machine(self, message: MachineSeen) -> None:
        """Plan for this machine."""
        self._hardware, self._runs = message.hardware, message.runs
        self.examine_draft(self._draft, message.hardware)

    @on(DraftExamined)
    def take_examined(self, message: DraftExamined) -> None:
        """Show the plan, unless the draft is another one by now."""
        if message.examined.draft != self._draft:
            return
        self._examined = message.examined
        self._fields = message.examined.fields
        self.plan.examined = message.examined
        self._lay_out()

    @on(ValueInput.Edited)
    def take_value(self, message: ValueInput.Edited) -> None:
        """Put what was typed into the draft, and plan again in a moment."""
        field = self._field(message.key)
        if field is not None:
            text = message.text.strip()
            self._change(self._draft.with_text(field.key, text, field.default))

    @on(ValueInput.Moved)
    def move(self, message: ValueInput.Moved) -> None:
        """Go to another row, or to the first of another group."""
        rows = [line for line in self._lines if isinstance(line, Field)]
        if not rows:
            return
        here = next((n for n, line in enumerate(rows) if line.key == self._key), 0)
        if message.is_group:
            starts = [n for n, row in enumerate(rows) if n == 0 or rows[n - 1].group != row.group]
            ahead = [n for n in starts if n > here]
            behind = [n for n in starts if n < here]
            there = (ahead[:1] if message.by > 0 else behind[-1:]) or [here]
            here, step = there[0], 0
        else:
            step = message.by
        self._go(rows[min(max(here + step, 0), len(rows) - 1)].key)

    @on(PickList.Picked)
    def take_picked(self, message: PickList.Picked) -> None:
        """Go to the row that was clicked."""
        line = self._lines[message.index]
        if isinstance(line, Field):
            self._go(line.key)
        self.value.focus()

    @on(Input.Changed, "#launch-find")
    def narrow(self) -> None:
        """Show the rows that hold what is wanted."""
        self._refused = ""
        self._lay_out()

    @on(Input.Submitted, "#launch-find")
    def take_wanted(self) -> None:
        """Go to what was found, or take a whole `stage.key=value`."""
        wanted = self.finder.value.strip()
        key, separator, text = wanted.partition("=")
        if not separator:
            self.value.focus()
            return
        field = self._field(key.strip())
        if field is None:
            self._refused = nothing_found(self._fields, key)
            self._tell()
            return
        self.finder.value = ""
        self._change(self._draft.with_text(field.key, text.strip(), field.default))
        self._lay_out()
        self._go(field.key)
        self.value.focus()

    @on(RunStarted)
    def leave_with_run(self, message: RunStarted) -> None:
        """Close with the run."""
        self.notify(message.started.said or "The run has started.", markup=False)
        self.dismiss(message.started.run_dir)

    @on(StartRefused)
    def show_refusal(self, message: StartRefused) -> None:
        """Say in place why nothing was started."""
        self._started_s = None
        self._refused = f"not started: {message.told}"
        self._tell()

    def action_start(self) -> None:
        """Start the run, unless the form is wrong or a start is under way."""
        if self._started_s is not None:
            return
        if not self.is_settled:
            self._refused = "not started: the plan is being made; try again in a moment"
        elif self._examined is not None and not self._examined.is_startable:
            self._refused = f"not started: {problem_note(None, self._state)}"
        else:
            self._refused = ""
            self._started_s = self._clock()
            self.send_start(run_words(self._draft))
        self._tell()

    def action_copy(self) -> None:
        """Offer the command line to the clipboard, and keep it in a file."""
        offer_copy(self, self._home, self._command_line())

    def action_reset(self) -> None:
        """Take back the change of the marked row."""
        self._change(self._draft.without(self._key))
        self._show_value()

    def action_changed(self) -> None:
        """Show what was changed alone, or everything again."""
        self._is_changed_only = not self._is_changed_only
        self._lay_out()

    def action_find(self) -> None:
        """Go to the search field."""
        self.finder.focus()

    def action_leave(self) -> None:
        """Empty the search, else leave; with changes, ask first."""
        if self.finder.value:
            self.finder.value = ""
            self.value.focus()
            return
        if self._started_s is not None:
            return
        if not self._draft.texts:
            self.dismiss(None)
            return

        def answered(is_yes: bool | None) -> None:
            if is_yes:
                self.dismiss(None)

        count = len(self._draft.texts)
        self.app.push_screen(
            ConfirmScreen(
                question="Leave without starting?",
                consequence=f"{count} change{'' if count == 1 else 's'} would be forgotten.",
                yes="leave",
            ),
            answered,
        )

    def _change(self, draft: Draft) -> None:
        """Take another draft: draw it at once, plan it when no key has come for a moment."""
        if draft == self._draft:
            return
        self._draft = draft
        self._refused = ""
        if self._due is not None:
            self._due.stop()
        self._due = self.set_timer(DEBOUNCE_S, self._examine)
        self._draw()

    def _examine(self) -> None:
        if self._hardware is not None:
            self.examine_draft(self._draft, self._hardware)

    def _field(self, key: str) -> Field | None:
        return next((item for item in self._fields if item.key == key), None)

    def _lay_out(self) -> None:
        """Choose the lines, and keep the cursor on its row where that is left."""
        changed = frozenset(self._draft.texts) if self._is_changed_only else None
        wanted = self.finder.value.partition("=")[0]
        self._lines = form_lines(self._fields, wanted, changed=changed)
        rows = [line for line in self._lines if isinstance(line, Field)]
        if rows and self._key not in {row.key for row in rows}:
            self._go(rows[0].key)
        elif self.value.is_at != self._key:
            self._show_value()
        else:
            self.value.offer(*self._choices())
        self._draw()

    def _go(self, key: str) -> None:
        self._key = key
        self._show_value()
        self._draw()

    def _show_value(self) -> None:
        field = self._field(self._key)
        if field is not None:
            self._state = self._now()
            self.value.show(field.key, self._state.text(field))
            self.value.offer(*self._choices())

    def _choices(self) -> tuple[tuple[str, ...], bool]:
        field = self._field(self._key)
        return ((), True) if field is None else (field.choices, field.is_open)

    def _now(self) -> FormState:
        examined = self._examined
        if examined is None:
            return FormState(draft=self._draft)
        # Until the new plan is there, a row that was changed since is not called wrong.
        problems = {
            key: told
            for key, told in examined.problems.items()
            if self._draft.texts.get(key) == examined.draft.texts.get(key)
        }
        return FormState(draft=self._draft, effective=examined.effective, problems=problems)

    def _draw(self) -> None:
        """Draw the rows, the head, and what is said below."""
        self._state = self._now()
        # Its scroll bar comes and goes with the rows.
        width = self.listed.size.width - self.listed.scrollbar_size_vertical
        self.listed.lines = tuple(
            form_row(
                line,
                self._state,
                width=max(width, 20),
                is_cursor=isinstance(line, Field) and line.key == self._key,
                glyphs=self._glyphs,
            )
            for line in self._lines
        )
        places = [
            place
            for place, line in enumerate(self._lines)
            if isinstance(line, Field) and line.key == self._key
        ]
        if places:
            self.listed.cursor = places[0]
        num_changed = len(self._draft.texts)
        told = f"{num_changed} changed" if num_changed else "as the preset has it"
        only = ", changed rows alone" if self._is_changed_only else ""
        self.top.update(f"New run  {self._draft.what}  {self._glyphs.separator}  {told}{only}")
        self.command.update(self._command_line())
        self._tell()

    def _tell(self) -> None:
        """Say what the marked row is for, and what is wrong."""
        field = self._field(self._key)
        self.label.update(field.key if field else "")
        self.note.update("" if field is None else row_note(field, self._state))
        if self._started_s is not None:
            told = "Starting ..."
        elif self._refused:
            told = self._refused
        elif not self._lines:
            told = (
                "nothing is changed yet"
                if self._is_changed_only and not self.finder.value
                else nothing_found(self._fields, self.finder.value)
            )
        else:
            told = problem_note(field, self._state)
        self.problem.update(told)
        self.problem.display = bool(told)

    def _command_line(self) -> str:
        usual = lab_home(None, os.environ).root
        home = None if self._home.root == usual else self._home.root
        return command_line(run_words(self._draft), home)

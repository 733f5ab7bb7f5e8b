"""Launching a run: a form of every setting, the plan beside it, and the command that it stands for.

The rows come from core.config, the plan from core.plan; `labcli run` itself starts the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.timer import Timer
from textual.widgets import Footer, Input, Static

from core.hardware import Hardware
from runs.paths import LabHome, lab_home
from tui.launch.draft import Draft, command_line, run_words
from tui.launch.fields import Field, nothing_found
from tui.launch.form import Form
from tui.launch.rows import problem_note, row_note
from tui.screens.launch_keys import LAUNCH_KEYS
from tui.screens.launch_work import DraftExamined, LaunchWork, MachineSeen, RunStarted, StartRefused
from tui.screens.modal import confirm
from tui.shell.clipboard import offer_copy
from tui.shell.environment import Environment
from tui.shell.format import counted
from tui.widgets.pick_list import PickList
from tui.widgets.plan_view import PlanView
from tui.widgets.value_input import ValueInput

# From the last key to the plan: a word is typed faster, and a plan takes about 10 ms.
DEBOUNCE_S = 0.12


class LaunchScreen(LaunchWork):
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
    BINDINGS: ClassVar[list[BindingType]] = [*LAUNCH_KEYS]

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
        super().__init__(home=home)
        self._glyphs = environment.glyphs
        self._clock = clock
        self._form = Form()
        self._hardware: Hardware | None = None
        self._runs: tuple[str, ...] = ()
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
        return self._form.is_settled

    @on(MachineSeen)
    def take_machine(self, message: MachineSeen) -> None:
        """Plan for this machine."""
        self._hardware, self._runs = message.hardware, message.runs
        self.examine_draft(self._form.draft, message.hardware, message.runs)

    @on(DraftExamined)
    def take_examined(self, message: DraftExamined) -> None:
        """Show the plan, unless the draft is another one by now."""
        if message.examined.draft != self._form.draft:
            return
        self._form.take_examined(message.examined)
        self.plan.examined = message.examined
        self._lay_out()

    @on(ValueInput.Edited)
    def take_value(self, message: ValueInput.Edited) -> None:
        """Put what was typed into the draft, and plan again in a moment."""
        field = self._form.field(message.key)
        if field is not None:
            text = message.text.strip()
            self._change(self._form.draft.with_text(field.key, text, field.default))

    @on(ValueInput.Moved)
    def move(self, message: ValueInput.Moved) -> None:
        """Go to another row, or to the first of another group."""
        self._form.move(message.by, is_group=message.is_group)
        self._lay_out()

    @on(PickList.Picked)
    def take_picked(self, message: PickList.Picked) -> None:
        """Go to the row that was clicked."""
        line = self._form.lines[message.index]
        if isinstance(line, Field):
            self._form.key = line.key
            self._lay_out()
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
        field = self._form.field(key.strip())
        if field is None:
            self._refused = nothing_found(self._form.fields, key)
            self._tell()
            return
        self.finder.value = ""
        self._change(self._form.draft.with_text(field.key, text.strip(), field.default))
        self._form.key = field.key
        self._lay_out()
        # The search may have led to the row already, with the value that it had.
        self._show_value()
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
        elif self._form.examined is not None and not self._form.examined.is_startable:
            self._refused = f"not started: {problem_note(None, self._form.state())}"
        else:
            self._refused = ""
            self._started_s = self._clock()
            self.send_start(run_words(self._form.draft))
        self._tell()

    def action_copy(self) -> None:
        """Offer the command line to the clipboard, and keep it in a file."""
        offer_copy(self, self.home, self._command_line())

    def action_reset(self) -> None:
        """Take back the change of the marked row."""
        self._change(self._form.draft.without(self._form.key))
        self._show_value()

    def action_changed(self) -> None:
        """Show what was changed alone, or everything again."""
        self._form.is_changed_only = not self._form.is_changed_only
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
        if not self._form.draft.texts:
            self.dismiss(None)
            return

        confirm(
            self,
            "Leave without starting?",
            consequence=f"{counted(len(self._form.draft.texts), 'change')} would be forgotten.",
            yes="leave",
            then=partial(self.dismiss, None),
        )

    def _change(self, draft: Draft) -> None:
        """Take another draft: draw it at once, plan it when no key has come for a moment."""
        if draft == self._form.draft:
            return
        self._form.draft = draft
        self._refused = ""
        if self._due is not None:
            self._due.stop()
        self._due = self.set_timer(DEBOUNCE_S, self._examine)
        self._draw()

    def _examine(self) -> None:
        if self._hardware is not None:
            self.examine_draft(self._form.draft, self._hardware, self._runs)

    def _lay_out(self) -> None:
        """Choose the lines, and keep the cursor on its row where that is left."""
        self._form.lay_out(self.finder.value)
        if self.value.is_at != self._form.key:
            self._show_value()
        else:
            self.value.offer(*self._form.choices)
        self._draw()

    def _show_value(self) -> None:
        field = self._form.marked
        if field is not None:
            self.value.show(field.key, self._form.state().text(field))
            self.value.offer(*self._form.choices)

    def _draw(self) -> None:
        """Draw the rows, the head, and what is said below."""
        form = self._form
        # Its scroll bar comes and goes with the rows.
        width = self.listed.size.width - self.listed.scrollbar_size_vertical
        self.listed.lines = form.drawn(max(width, 20), self._glyphs)
        self.listed.cursor = form.place
        self.top.update(form.summary(self._glyphs.separator))
        self.command.update(self._command_line())
        self._tell()

    def _tell(self) -> None:
        """Say what the marked row is for, and what is wrong."""
        form, state = self._form, self._form.state()
        field = form.marked
        self.label.update(field.key if field else "")
        self.note.update("" if field is None else row_note(field, state))
        if self._started_s is not None:
            told = "Starting ..."
        elif self._refused:
            told = self._refused
        elif not form.lines:
            told = form.nothing_shown(self.finder.value)
        else:
            told = problem_note(field, state)
        self.problem.update(told)
        self.problem.display = bool(told)

    def _command_line(self) -> str:
        usual = lab_home(None, os.environ).root
        home = None if self.home.root == usual else self.home.root
        return command_line(run_words(self._form.draft), home)

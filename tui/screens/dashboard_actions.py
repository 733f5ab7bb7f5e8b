"""What the keys of the dashboard do to runs: questions first, then deeds in a thread worker."""

from __future__ import annotations

import importlib
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from textual import work
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.worker import Worker, get_current_worker

from runs.errors import LabError
from runs.labels import check_name
from runs.paths import LabHome
from runs.views.run_view import RunView
from runs.views.states import ACTIVE
from tui.live import present
from tui.live.messages import ActionDone
from tui.screens import run_deeds
from tui.screens.ask_text import ask_text
from tui.screens.modal import confirm
from tui.screens.run_deeds import Deed, carry_out, named
from tui.shell.clipboard import offer_copy
from tui.shell.environment import Environment

MAX_NOTES_SHOWN = 4


class RunActions(Screen[None]):
    """A screen over the runs of a lab home whose keys act on some of them."""

    def __init__(
        self,
        *,
        home: LabHome,
        environment: Environment,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.home = home
        self.environment = environment
        self.clock = clock

    @abstractmethod
    def chosen_runs(self) -> tuple[RunView, ...]:
        """Return the runs that a key acts on; the screen knows which."""

    @abstractmethod
    def marked_runs(self) -> tuple[RunView, ...]:
        """Return the runs that are marked."""

    @abstractmethod
    def known_runs(self) -> tuple[RunView, ...]:
        """Return every run."""

    @abstractmethod
    def show_later(self, run_dir: Path) -> None:
        """Show a run as soon as it is there."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what the chosen runs cannot do."""
        states = {run.state for run in self.chosen_runs()}
        if action == "stop" and not states & ACTIVE:
            return None
        if action == "resume" and not states & present.RESUMABLE:
            return None
        return True

    def action_stop(self) -> None:
        """Ask, then stop the runs."""
        runs = [run for run in self.chosen_runs() if run.state in ACTIVE]
        if runs:
            confirm(
                self,
                f"Stop {named(runs)}?",
                consequence="It writes a checkpoint first and can be resumed later.",
                yes="stop it",
                then=lambda: self.do(run_deeds.stop(), runs),
            )

    def action_resume(self) -> None:
        """Continue the runs; more than one after a question."""
        runs = [run for run in self.chosen_runs() if run.state in present.RESUMABLE]
        if len(runs) == 1:
            self._resume(runs)
        elif runs:
            confirm(
                self,
                f"Resume {named(runs)}?",
                consequence="They start at once, all of them at the same time.",
                yes="resume them",
                then=lambda: self._resume(runs),
            )

    def action_tag(self) -> None:
        """Ask for tags, then put them on the runs."""
        runs = self.chosen_runs()
        if not runs:
            return
        tags = dict.fromkeys(tag for run in runs for tag in run.tags)
        ask_text(
            self,
            f"Tag {named(runs)}",
            hint="Words; -word takes a tag off.   Enter  tag     Esc  go back",
            check=lambda text: void(run_deeds.tags_in(text)),
            known=[f"now: {' '.join(tags)}"] if tags else [],
            then=lambda text: self.do(run_deeds.tag(text), runs),
        )

    def action_note(self) -> None:
        """Ask for a note, then write it down."""
        runs = self.chosen_runs()
        if not runs:
            return
        notes = [note for run in runs for note in run.notes]
        ask_text(
            self,
            f"Note about {named(runs)}",
            hint="Enter  write it down     Esc  go back",
            check=run_deeds.check_note,
            known=notes[-MAX_NOTES_SHOWN:],
            then=lambda text: self.do(run_deeds.note(text), runs),
        )

    def action_rename(self) -> None:
        """Ask for another name, then give it."""
        runs = self.chosen_runs()
        if len(runs) != 1:
            self.tell("rename one run at a time: u takes the marks off", is_refused=True)
            return
        others = self.known_runs()
        ask_text(
            self,
            f"Rename {named(runs)}",
            hint=f"Its slug stays {runs[0].slug}.   Enter  rename     Esc  go back",
            check=check_name,
            text=runs[0].name,
            then=lambda text: self.do(run_deeds.rename(text, others), runs),
        )

    def action_trash(self) -> None:
        """Ask, then move the runs to the trash."""
        runs = self.chosen_runs()
        if runs:
            confirm(
                self,
                f"Move {named(runs)} to the trash?",
                consequence=f"{len(runs)} run{'s' * (len(runs) > 1)}, with all checkpoints. "
                f"They come back with: labcli runs restore {runs[0].slug}",
                yes="move to the trash",
                then=lambda: self.do(run_deeds.move_to_trash(), runs),
            )

    def action_open_run(self) -> None:
        """Show everything about the run under the cursor."""
        runs = self.chosen_runs()

        def wanted(run_dir: Path | None) -> None:
            if run_dir is not None:
                self.show_later(run_dir)

        if runs:
            screen = load_screen("tui.screens.run:RunScreen")
            self.app.push_screen(screen(run=runs[0].path, **self._given()), wanted)

    def action_compare(self) -> None:
        """Compare the marked runs."""
        paths = tuple(run.path for run in self.marked_runs())
        if len(paths) < 2:
            self.tell("mark two runs or more with Space, then compare them", is_refused=True)
            return
        screen = load_screen("tui.screens.compare_runs:CompareScreen")
        self.app.push_screen(screen(runs=paths, **self._given()))

    def action_launch(self) -> None:
        """Start a new run, and show it then."""

        def started(run_dir: Path | None) -> None:
            if run_dir is not None:
                self.show_later(run_dir)

        screen = load_screen("tui.screens.launch:LaunchScreen")
        self.app.push_screen(screen(**self._given()), started)

    def action_report(self) -> None:
        """Open the report of the run."""
        for run in self.chosen_runs()[:1]:
            self.open_report(run)

    def action_copy_id(self) -> None:
        """Copy the ids of the runs."""
        self._copy("\n".join(run.run_id for run in self.chosen_runs()))

    def action_copy_path(self) -> None:
        """Copy the paths of the runs."""
        self._copy("\n".join(str(run.path) for run in self.chosen_runs()))

    @work(thread=True, exit_on_error=False, group="requests", description="request")
    def do(self, deed: Deed, runs: Sequence[RunView]) -> None:
        """Do something to runs, and tell how that went."""
        outcome = carry_out(deed, runs)
        if outcome.done:
            self.post_message(ActionDone(outcome.done, False, outcome.touched))
        if outcome.refused:
            self.post_message(ActionDone(outcome.refused, True, outcome.touched))

    @work(thread=True, exit_on_error=False, group="requests", description="request")
    def open_report(self, run: RunView) -> None:
        """Open the report in a browser; where there is none, tell where it lies."""
        report = run_deeds.find_report(run)
        if report is None:
            told = f"{run.name} has no report; the report stage writes one at the end"
            self.post_message(ActionDone(told, is_refused=True))
        elif self.environment.has_browser:
            self.app.call_from_thread(self.app.open_url, report.as_uri())
        else:
            self.app.call_from_thread(self.app.copy_to_clipboard, str(report))
            self.post_message(ActionDone(f"no browser here; the report is {report}", False))

    def tell(self, text: str, *, is_refused: bool = False) -> None:
        """Say something in passing."""
        severity: SeverityLevel = "error" if is_refused else "information"
        self.notify(text, severity=severity, markup=False)

    def _resume(self, runs: Sequence[RunView]) -> None:
        self.tell(f"Resuming {named(runs)} ...")
        self.do_resume(runs)

    @work(thread=True, exit_on_error=False, group="requests", description="request")
    def do_resume(self, runs: Sequence[RunView]) -> None:
        """Start the runs again, and tell how that went."""
        worker = get_current_worker()
        deed = run_deeds.resume(lambda seconds: wait_unless_left(worker, seconds))
        outcome = carry_out(deed, runs)
        if outcome.done:
            self.post_message(ActionDone(outcome.done, False, outcome.touched))
        if outcome.refused:
            self.post_message(ActionDone(outcome.refused, True, outcome.touched))

    def _copy(self, text: str) -> None:
        if text:
            offer_copy(self, self.home, text)

    def _given(self) -> dict[str, Any]:
        return {"home": self.home, "environment": self.environment, "clock": self.clock}


def load_screen(target: str) -> Callable[..., Screen[Any]]:
    """Return a screen's class, named module:class; it is imported when it is opened first."""
    module, attribute = target.split(":")
    screen: Callable[..., Screen[Any]] = getattr(importlib.import_module(module), attribute)
    return screen


def void(_: object) -> None:
    """Take a value and return nothing: only the errors of what made it count."""


def wait_unless_left(worker: Worker[None], seconds: float) -> None:
    """Let time pass, or raise when the app was left: its exit waits for every thread."""
    if worker.is_cancelled:
        raise LabError("the dashboard was left before the run had let go of its processes")
    time.sleep(seconds)

"""What the launch form does beside the event loop: look at the machine, plan, and start the run.

Each worker posts a message when it is done; the handlers, and all that is seen, are the form's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from textual import work
from textual.message import Message
from textual.screen import Screen
from textual.worker import get_current_worker

from core.hardware import Hardware, detect
from runs.errors import LabError
from runs.paths import LabHome
from runs.settings import load_settings
from runs.views.query import run_dirs
from tui.launch.draft import Draft
from tui.launch.examine import Examined, examine
from tui.launch.start import Started, start_run

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


class LaunchWork(Screen[Path | None]):
    """A screen that starts runs in a lab home."""

    def __init__(self, *, home: LabHome) -> None:
        super().__init__()
        self.home = home

    @work(thread=True, exclusive=True, exit_on_error=False, group="machine")
    def look_around(self) -> None:
        """Tell what this machine is and which runs there are."""
        try:
            runs = tuple(path.name[27:] for path in run_dirs(self.home)[:MAX_RUNS_OFFERED])
        except OSError:
            # The form plans without them; `labcli run` says what is wrong with the lab home.
            runs = ()
        try:
            hardware = detect(load_settings(self.home, os.environ).hardware)
        except LabError:
            # As above: what is wrong with the settings is the command's to say.
            hardware = detect()
        hardware = replace(hardware, disk_free_bytes=self.home.disk_free_bytes)
        self.post_message(MachineSeen(hardware, runs))

    @work(thread=True, exclusive=True, exit_on_error=False, group="plan")
    def examine_draft(self, draft: Draft, hardware: Hardware, runs: tuple[str, ...]) -> None:
        """Tell what a draft comes to."""
        worker = get_current_worker()
        examined = examine(draft, self.home, hardware, runs)
        if not worker.is_cancelled:
            self.post_message(DraftExamined(examined))

    @work(exit_on_error=False, exclusive=True, group="start")
    async def send_start(self, words: tuple[str, ...]) -> None:
        """Start the run, and tell how that went."""
        try:
            self.post_message(RunStarted(await start_run(self.home, words)))
        except LabError as error:
            self.post_message(StartRefused(str(error)))

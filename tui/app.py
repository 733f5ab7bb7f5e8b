"""The terminal app: views by name, themes, keys, help and the command palette."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.geometry import Size
from textual.screen import Screen
from textual.theme import Theme
from textual.widget import Widget

from tui.screens.jump import JumpScreen
from tui.screens.modal import HelpScreen
from tui.shell import help as guide
from tui.shell.keymap import binding_ids, split_keymap
from tui.shell.palette import key_commands
from tui.shell.settings import (
    FILE_NAME,
    LoadedSettings,
    Settings,
    load_settings,
    save_value,
    settings_path,
)
from tui.shell.themes import THEMES
from tui.views import VIEWS, Opening, find_view

NOTICE_S = 15.0
# How often the size of the terminal is looked at, beside being told of it.
SIZE_S = 2.0
PARENT_S = 1.0
# Longer than the model server is given to end.
HANG_S = 10.0
TOUR_S = 20.0


class LabApp(App[None]):
    """The lab in a terminal."""

    TITLE = "labcli"
    CSS = """
    Toast { width: 56; max-width: 90%; }
    .-ascii Toast { border-left: ascii $primary !important; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "f1",
            "explain",
            "Help",
            # Else Textual keeps it from dialogs, whose help it shows, too.
            priority=True,
            id="app.help",
            tooltip="Explain the focused widget and keys.",
        ),
        *(
            Binding(
                view.key,
                f"view('{name}')",
                name.capitalize(),
                show=False,
                id=f"view.{name}",
                tooltip=f"Go to the {name}: {view.summary[0].lower()}{view.summary[1:]}",
            )
            for name, view in VIEWS.items()
        ),
        Binding(
            "ctrl+o",
            "jump",
            "Jump",
            show=False,
            id="app.jump",
            tooltip="Jump to a pane by the letter that it then shows.",
        ),
        Binding("q", "quit", "Quit", id="app.quit", tooltip="Leave; the runs go on."),
    ]

    def __init__(
        self,
        opening: Opening,
        *,
        view: str = "dashboard",
        loaded: LoadedSettings | None = None,
        settings_file: Path | None = None,
    ) -> None:
        """Take what the views are given, and the settings.

        loaded: none stands for the defaults, without the tour of a first start.
        settings_file: where choices are kept; none keeps none.
        """
        super().__init__()
        self._opening = opening
        self._glyphs = opening.environment.glyphs
        self._view = view
        self._loaded = loaded or LoadedSettings(settings=Settings(toured=True))
        self._settings_file = settings_file

    def on_mount(self) -> None:
        """Take the lab's colours and open the first view."""
        # Every frame of an animation is traffic on an SSH link, and a key should act at once.
        self.animation_level = "none"
        self.set_class(self._glyphs.is_ascii, "-ascii")
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self._loaded.settings.theme
        self.theme_changed_signal.subscribe(self, self.keep_theme)
        for name, view in VIEWS.items():
            self.add_mode(name, partial(view.open, self._opening))
        self.switch_mode(self._view)
        self._heed_departures()
        self._tell(self._take_keys())
        if not self._loaded.settings.toured:
            self.notify(guide.TOUR, title="First time here?", timeout=TOUR_S, markup=False)
            self.keep("toured", True)

    async def on_unmount(self) -> None:
        """End the model server, if one was started."""
        await self._opening.asker.close()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield Textual's own commands, then every key of the present screen by name."""
        yield from super().get_system_commands(screen)
        yield from key_commands(self, screen)

    def get_key_display(self, binding: Binding) -> str:
        """Return how a key is written; in ASCII where nothing else is allowed."""
        shown = super().get_key_display(binding)
        return binding.key if self._glyphs.is_ascii and not shown.isascii() else shown

    def keep_theme(self, theme: Theme) -> None:
        """Remember the theme that was chosen."""
        if theme.name != self._loaded.settings.theme:
            self.keep("theme", theme.name)

    @work(thread=True, exit_on_error=False, group="settings")
    def keep(self, key: str, value: str | bool) -> None:
        """Write one setting; a lab home that cannot be written keeps nothing."""
        if self._settings_file is None:
            return
        try:
            save_value(self._settings_file, key, value)
        except OSError as error:
            self.call_from_thread(self._tell, f"cannot keep {key} in {error.filename}: {error}")

    def action_explain(self) -> None:
        """Explain the focused widget, and list the keys that work there."""
        self.push_screen(guide.help_screen(self.screen, self.focused, self.get_key_display))

    def action_view(self, name: str) -> None:
        """Show another view; what the present one does goes on behind it."""
        if name != self.current_mode:
            self.switch_mode(name)

    def action_jump(self) -> None:
        """Show the letters of the panes and focus the one that is typed."""
        below = self.screen
        panes = [widget for widget in below.focus_chain if widget.region]

        def go(widget: Widget | None) -> None:
            if widget is not None:
                below.set_focus(widget)

        self.push_screen(JumpScreen(panes), go)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keep the views and jumps away from what asks a question, and help from the help."""
        if action == "explain":
            return not isinstance(self.screen, HelpScreen)
        return not (action in ("view", "jump") and self.screen.is_modal)

    def _heed_departures(self) -> None:
        """Leave, with the model server, when the terminal or the server of the page goes."""
        if self.is_headless:
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.exit, None, 128 + signal.SIGTERM)
        # Not the loop's own handler, which could not run while the loop waits for the terminal.
        signal.signal(signal.SIGHUP, lambda *_: self._leave_lost_terminal(loop))
        if self.is_web:
            self.set_interval(PARENT_S, partial(self._leave_without, os.getppid()))
        else:
            self.set_interval(SIZE_S, self._heed_size)

    def _heed_size(self) -> None:
        """Take the size that the terminal has: the news of a change can be lost on the way."""
        try:
            size = Size(*os.get_terminal_size(sys.__stderr__.fileno() if sys.__stderr__ else 2))
        except OSError:
            # A terminal that is gone has none; its end is told by a signal.
            return
        if size != self.screen.size and size:
            self.screen.post_message(Resize(size, size))

    def _leave_lost_terminal(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave a terminal that is gone; what is still written to it goes nowhere."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.__stdout__, sys.__stderr__):
            if stream is not None:
                os.dup2(nowhere, stream.fileno())
        # A write that failed before has ended Textual's writer: then its queue fills, and whoever
        # writes next waits for ever. The model server ends with its input, too.
        last = threading.Timer(HANG_S, os._exit, (128 + signal.SIGHUP,))
        last.daemon = True
        last.start()
        loop.call_soon_threadsafe(self.exit, None, 128 + signal.SIGHUP)

    def _leave_without(self, parent: int) -> None:
        # The end of its input tells a web app nothing.
        if os.getppid() != parent:
            self.exit()

    def _take_keys(self) -> str:
        """Apply the keys of the settings; return what was wrong with the file."""
        problems = [self._loaded.problem] if self._loaded.problem else []
        if self._loaded.settings.keys:
            for view in VIEWS.values():
                view.load_all()
            usable, unknown = split_keymap(self._loaded.settings.keys, binding_ids())
            self.set_keymap(usable)
            problems += [f"{FILE_NAME}: {sentence}" for sentence in unknown]
        return "; ".join(problems)

    def _tell(self, problem: str) -> None:
        if problem:
            self.notify(problem, severity="warning", timeout=NOTICE_S, markup=False)


def open_view(name: str, opening: Opening) -> int:
    """Run the app until the person leaves it, beginning with one view; return its exit code.

    Raises:
        UsageError: there is no such view.
    """
    find_view(name)
    path = settings_path(opening.home)
    app = LabApp(opening, view=name, loaded=load_settings(path), settings_file=path)
    app.run()
    return app.return_code or 0

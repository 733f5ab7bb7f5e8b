"""The terminal app: themes, help, the command palette, and the screen it opens with."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.screen import Screen

from runs.paths import LabHome
from tui.environment import Environment, read_environment
from tui.screens.dashboard import DashboardScreen
from tui.screens.modal import HelpScreen, KeyHelp
from tui.themes import LAB_DARK, LAB_LIGHT


class LabApp(App[None]):
    """The lab in a terminal."""

    TITLE = "labcli"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "f1", "explain", "Help", id="app.help", tooltip="Explain the focused widget and keys."
        ),
        Binding("q", "quit", "Quit", id="app.quit", tooltip="Leave; the runs go on."),
    ]

    def __init__(
        self,
        *,
        home: LabHome,
        environment: Environment,
        focus: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._home = home
        self._environment = environment
        self._focus = focus
        self._clock = clock

    def on_mount(self) -> None:
        """Take the lab's colours and open the dashboard."""
        # Every frame of an animation is traffic on an SSH link, and a key should act at once.
        self.animation_level = "none"
        self.set_class(self._environment.glyphs.is_ascii, "-ascii")
        self.register_theme(LAB_DARK)
        self.register_theme(LAB_LIGHT)
        self.theme = LAB_DARK.name
        self.add_mode("dashboard", self._make_dashboard)
        self.switch_mode("dashboard")

    def _make_dashboard(self) -> Screen[None]:
        return DashboardScreen(
            home=self._home, environment=self._environment, focus=self._focus, clock=self._clock
        )

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield Textual's own commands, then every key of the present screen by name."""
        yield from super().get_system_commands(screen)
        for active in screen.active_bindings.values():
            node, binding = active.node, active.binding
            if binding.id is None or not active.enabled or binding.action == "quit":
                continue

            async def run(action: str = binding.action, node: DOMNode = node) -> None:
                await self.run_action(action, node)

            what = binding.tooltip or binding.description
            yield SystemCommand(what.rstrip("."), f"Key: {binding.key}", run)

    def get_key_display(self, binding: Binding) -> str:
        """Return how a key is written; in ASCII where nothing else is allowed."""
        shown = super().get_key_display(binding)
        return binding.key if self._environment.glyphs.is_ascii and not shown.isascii() else shown

    def action_explain(self) -> None:
        """Explain the focused widget, and list the keys that work there."""
        if isinstance(self.screen, HelpScreen):
            return
        widget = self.focused or self.screen
        keys = [
            KeyHelp(key=self.get_key_display(active.binding), what=active.tooltip)
            for active in self.screen.active_bindings.values()
            if active.tooltip
        ]
        title = widget.BINDING_GROUP_TITLE or self.screen.BINDING_GROUP_TITLE or "Help"
        text = widget.HELP or self.screen.HELP or ""
        self.push_screen(HelpScreen(title=title, text=text, keys=keys))


def open_dashboard(home: LabHome, focus: Path | None) -> None:
    """Run the dashboard until the person leaves it."""
    environment = read_environment(os.environ, sys.stdout.encoding or "ascii")
    LabApp(home=home, environment=environment, focus=focus).run()

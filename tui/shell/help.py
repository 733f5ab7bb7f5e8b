"""What F1 tells: the text and the keys of the focused widget. And the four lines for newcomers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget

from tui.screens.modal import HelpScreen, KeyHelp

TOUR = """\
Ctrl+P  every action by name
F1      what is focused, and its keys
F2, F3  the views; Ctrl+O jumps to a pane
Ctrl+Q  leave; runs go on without the app"""


def help_screen(
    screen: Screen[object], focused: Widget | None, key_display: Callable[[Binding], str]
) -> HelpScreen:
    """Return the help of the focused widget, else of the screen."""
    node: DOMNode = focused or screen
    title = node.BINDING_GROUP_TITLE or screen.BINDING_GROUP_TITLE or "Help"
    text = node.HELP or screen.HELP or ""
    return HelpScreen(title=title, text=text, keys=list(_keys(screen, key_display)))


def _keys(screen: Screen[object], key_display: Callable[[Binding], str]) -> Iterable[KeyHelp]:
    for active in screen.active_bindings.values():
        if active.tooltip:
            yield KeyHelp(key=key_display(active.binding), what=active.tooltip)

"""The commands of the palette: the keys of the present screen, by name."""

from __future__ import annotations

from collections.abc import Iterator

from textual.app import App, SystemCommand
from textual.dom import DOMNode
from textual.screen import Screen


def key_commands(app: App[None], screen: Screen[object]) -> Iterator[SystemCommand]:
    """Yield every named key that works on the screen; leaving has a command of Textual's own."""
    for active in screen.active_bindings.values():
        node, binding = active.node, active.binding
        if binding.id is None or not active.enabled or binding.action == "quit":
            continue

        async def run(action: str = binding.action, node: DOMNode = node) -> None:
            await app.run_action(action, node)

        what = binding.tooltip or binding.description
        yield SystemCommand(what.rstrip("."), f"Key: {binding.key}", run)

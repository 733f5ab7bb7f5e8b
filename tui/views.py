"""The full-screen views by name: where each lives, its key, and what it is given when it opens.

A view is imported when it is opened first: the dashboard waits for nobody else's imports.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runs.errors import UsageError, nearest
from runs.paths import LabHome
from tui.answering.asker import Asker
from tui.shell.environment import Environment
from tui.tokens.vocabularies import Vocabularies

if TYPE_CHECKING:
    from textual.screen import Screen


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What the app knows when it opens a view.

    `models` and `tokenizers` are references as people type them, `file` a text to show.
    """

    home: LabHome
    environment: Environment
    focus: Path | None = None
    models: tuple[str, ...] = ()
    tokenizers: tuple[str, ...] = ()
    file: Path | None = None
    vocabularies: Vocabularies = field(default_factory=Vocabularies)
    asker: Asker = field(default_factory=Asker)
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One view: `target` is module:class, `needs` names the fields of Opening that it is given.

    later: the modules with keys of their own that it imports when they are used first.
    """

    target: str
    key: str
    summary: str
    needs: tuple[str, ...]
    later: tuple[str, ...] = ()

    def load(self) -> type[Screen[None]]:
        """Return the class of its screen; this imports its module."""
        module, attribute = self.target.split(":")
        screen: type[Screen[None]] = getattr(importlib.import_module(module), attribute)
        return screen

    def load_all(self) -> None:
        """Import everything of it that has keys."""
        self.load()
        for module in self.later:
            importlib.import_module(module)

    def open(self, opening: Opening) -> Screen[None]:
        """Return its screen."""
        return self.load()(**{name: getattr(opening, name) for name in self.needs})


VIEWS: Mapping[str, View] = {
    "dashboard": View(
        target="tui.screens.dashboard:DashboardScreen",
        key="f2",
        summary="Watch every run live: states, curves, logs and samples.",
        needs=("home", "environment", "focus", "clock"),
        later=(
            "tui.widgets.run_detail",
            "tui.screens.run",
            "tui.screens.compare_runs",
            "tui.screens.launch",
        ),
    ),
    "playground": View(
        target="tui.screens.playground:PlaygroundScreen",
        key="f3",
        summary="See the tokens of a text as it is typed.",
        needs=("home", "environment", "vocabularies", "tokenizers", "file"),
    ),
    "arena": View(
        target="tui.screens.arena:ArenaScreen",
        key="f4",
        summary="Ask several models the same and see the answers side by side.",
        needs=("home", "environment", "asker", "models", "clock"),
    ),
    "selfchat": View(
        target="tui.screens.selfchat:SelfchatScreen",
        key="f5",
        summary="Watch models talk to themselves, every token measured.",
        needs=("home", "environment", "focus", "clock"),
    ),
    "chat": View(
        target="tui.screens.chat:ChatScreen",
        key="f6",
        summary="Talk to a model.",
        needs=("home", "environment", "asker", "models", "clock"),
    ),
}


def find_view(name: str) -> View:
    """Return the view of a name, or raise UsageError with the closest names."""
    if name not in VIEWS:
        raise UsageError(f"there is no view {name!r}{nearest(name, VIEWS)}")
    return VIEWS[name]

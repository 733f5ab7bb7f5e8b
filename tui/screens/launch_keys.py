"""The keys of the launch form."""

from __future__ import annotations

from textual.binding import Binding

LAUNCH_KEYS = (
    Binding("ctrl+s", "start", "Start", id="launch.start", tooltip="Start the run."),
    Binding(
        "ctrl+y", "copy", "Copy", id="launch.copy", tooltip="Copy the command line of the run."
    ),
    Binding(
        "ctrl+r", "reset", "Default", id="launch.reset", tooltip="Take back a row's change."
    ),
    Binding(
        "ctrl+g", "changed", "Changed", id="launch.changed",
        tooltip="Show the changed rows alone, or all of them again.",
    ),
    Binding(
        "ctrl+t", "find", "Find", id="launch.find", tooltip="Find a setting by a part of its name."
    ),
    Binding("escape", "leave", "Back", id="launch.leave", tooltip="Go back; nothing is started."),
)  # fmt: skip

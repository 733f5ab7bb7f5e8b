"""The keys of the dashboard; those of a focused pane come before them."""

from __future__ import annotations

from tui.shell.keys import KeyNames
from tui.widgets.pane_bar import PANES

_key = KeyNames("").key

DASHBOARD_KEYS = (
    _key("slash", "filter", "Filter", "runs.filter",
         "Show only the runs that pass a filter.", is_shown=True, display="/"),
    _key("n", "launch", "New", "run.new", "Start a new run.", is_shown=True),
    _key("o", "open_run", "Open", "run.open", "Show everything about the run.", is_shown=True),
    _key("c", "compare", "Compare", "run.compare", "Compare the marked runs.", is_shown=True),
    _key("s", "stop", "Stop", "run.stop", "Stop the run after a checkpoint.", is_shown=True),
    _key("r", "resume", "Resume", "run.resume", "Continue a run that ended.", is_shown=True),
    _key("t", "tag", "Tag", "run.tag", "Put tags on the run, or take them off."),
    _key("w", "note", "Note", "run.note", "Write a note about the run."),
    _key("R", "rename", "Rename", "run.rename", "Give the run another name."),
    _key("delete,D", "trash", "Delete", "run.trash", "Move the run to the trash."),
    _key("O", "report", "Report", "run.report", "Open the report of the run in a browser."),
    _key("i", "copy_id", "Copy id", "run.copy-id", "Copy the id of the run."),
    _key("I", "copy_path", "Copy path", "run.copy-path", "Copy the path of the run."),
    _key("u", "unmark", "Unmark", "runs.unmark", "Take the marks off all runs."),
    _key("A", "mark_all", "Mark all", "runs.mark-all", "Mark every run that is listed."),
    _key("g", "group", "Group", "runs.group", "Group the runs by recipe, state, tag or not."),
    _key("greater_than_sign", "sort(1)", "Sort", "runs.sort",
         "Sort the runs by the next column.", display=">"),
    _key("less_than_sign", "sort(-1)", "Sort", "runs.sort-back",
         "Sort the runs by the column before.", display="<"),
    _key("v", "reverse", "Reverse", "runs.reverse", "Sort the runs the other way round."),
    _key("escape", "clear_filter", "Show all", "runs.clear", "Take the filter away."),
    _key("left_square_bracket", "stage(-1)", "Stage", "stage.previous",
         "Show the curves of the stage before.", display="["),
    _key("right_square_bracket", "stage(1)", "Stage", "stage.next",
         "Show the curves of the stage after.", display="]"),
    *(
        _key(str(number), f"pane('{name}')", name.capitalize(), f"pane.{name}",
             f"Show the {name} of the run.")
        for number, name in enumerate(PANES, start=1)
    ),
    _key("x", "axis", "X axis", "chart.axis",
         "Draw the charts over steps, tokens, time, FLOPs or dollars."),
    _key("y", "log_scale", "Log y", "chart.log", "Draw y axes as logarithms."),
    _key("z", "zoom", "Zoom", "chart.zoom", "Give one chart all the room."),
)  # fmt: skip

"""`labcli sweep`: the group of sweep commands. Loads no command before it is called."""

from __future__ import annotations

from labcli.lazy import lazy_app
from labcli.root import Entry

COMMANDS = {
    "create": Entry("labcli.commands.sweep.create:app", "Queue a run per combination of values."),
    "status": Entry("labcli.commands.sweep.status:app", "Show the runs of a sweep and the best."),
    "list": Entry("labcli.commands.sweep.list_:app", "List every sweep, newest first."),
    "stop": Entry("labcli.commands.sweep.stop:app", "Stop what runs and what waits of a sweep."),
    "resume": Entry("labcli.commands.sweep.resume:app", "Go on with what is not done."),
}

app = lazy_app(COMMANDS, "Run many variants of a recipe or a stage, a few at a time.")

"""`labcli runs`: the group of run commands. Loads no command before it is called."""

from __future__ import annotations

from labcli.lazy import lazy_app
from labcli.root import Entry

COMMANDS = {
    "list": Entry("labcli.commands.runs.list_:app", "List runs: filter, sort, group, columns."),
    "show": Entry("labcli.commands.runs.show:app", "Show one run and its figures."),
    "compare": Entry("labcli.commands.runs.compare:app", "Compare runs beyond their noise."),
    "diff": Entry("labcli.commands.runs.diff:app", "Show where runs differ."),
    "why": Entry("labcli.commands.runs.why:app", "Show where curves part, and what differs."),
    "tail": Entry("labcli.commands.runs.tail:app", "Follow runs until they end, here or by ssh."),
    "logs": Entry("labcli.commands.runs.logs:app", "Print what a stage's process wrote."),
    "stop": Entry("labcli.commands.runs.stop:app", "Stop a run after a checkpoint."),
    "resume": Entry("labcli.commands.runs.resume:app", "Continue from the newest checkpoint."),
    "adopt": Entry("labcli.commands.runs.adopt:app", "Take over a run whose supervisor died."),
    "reap": Entry("labcli.commands.runs.reap:app", "End processes that have no supervisor."),
    "lineage": Entry("labcli.commands.runs.lineage:app", "Draw what was made from what."),
    "alerts": Entry("labcli.commands.runs.alerts:app", "List what went wrong in runs."),
    "notify": Entry("labcli.commands.runs.notify:app", "Show or try where alerts are sent."),
    "gc": Entry("labcli.commands.runs.gc:app", "Remove what no run needs any more."),
    "tag": Entry("labcli.commands.runs.tag:app", "Put tags on a run, or take them off."),
    "note": Entry("labcli.commands.runs.note:app", "Add a note to a run."),
    "rename": Entry("labcli.commands.runs.rename:app", "Give a run another name."),
    "rm": Entry("labcli.commands.runs.rm:app", "Delete runs: to the trash, or for good."),
    "restore": Entry("labcli.commands.runs.restore:app", "Bring deleted runs back."),
    "export": Entry("labcli.commands.runs.export:app", "Write runs as CSV, JSON, Parquet, md."),
    "import": Entry("labcli.commands.runs.import_:app", "Take over runs of other tools."),
    "sql": Entry("labcli.commands.runs.sql:app", "Ask the registry and all metrics in SQL."),
    "reindex": Entry("labcli.commands.runs.reindex:app", "Rebuild the registry from the runs."),
}

app = lazy_app(COMMANDS, "List, inspect, follow, stop and resume runs.")

"""`labcli data`: the group of corpus commands. Loads no command before it is called."""

from __future__ import annotations

from labcli.lazy import lazy_app
from labcli.root import Entry

COMMANDS = {
    "list": Entry("labcli.commands.data.list_:app", "List the corpora here, and those to get."),
    "get": Entry("labcli.commands.data.get:app", "Download shards of a corpus, checked."),
    "prepare": Entry("labcli.commands.data.prepare:app", "Make a corpus of your own text."),
    "describe": Entry("labcli.commands.data.describe:app", "Show what a corpus holds."),
}

app = lazy_app(COMMANDS, "Download, prepare and look into text.")

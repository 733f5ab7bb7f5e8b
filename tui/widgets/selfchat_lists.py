"""The lists of the self-chat view, with their help."""

from __future__ import annotations

from tui.widgets.row_list import RowList


class RunsList(RowList):
    """The self-chats of the lab home."""

    BINDING_GROUP_TITLE = "Self-chats"
    HELP = "The self-chats of this lab home, newest first. Enter shows the one under the cursor."


class TalksList(RowList):
    """The conversations of one self-chat."""

    BINDING_GROUP_TITLE = "Conversations"
    HELP = """\
The conversations of the self-chat: number, what sets its setting apart, seed, how it ended, and
its mean entropy turn by turn as bars. done: it took all turns; loop: it repeated itself; full: the
context was full; cut: time or tokens were spent; empty: a turn without text. Enter goes to the
text, f lists one setting alone.
"""


class FindingsList(RowList):
    """What was found."""

    BINDING_GROUP_TITLE = "Findings"
    HELP = """\
What the self-chat found: the verdicts in sentences, then every measure under every setting with
its 95 % interval over conversations, then the comparisons of the settings. Each p is corrected for
all comparisons together (Holm); a mark and bold figures say that it is below 0.05.
"""

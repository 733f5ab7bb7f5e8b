"""Getting words out of a talk: transcripts as files, answers to the clipboard."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labcli.chat.conversation import Conversation, Turn
from labcli.output import emit_part
from runs.errors import UsageError
from runs.paths import LabHome
from tui.shell.clipboard import MAX_OSC52_BYTES, keep_copy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.answering.transcript_file import Transcript


def save(conversation: Conversation, path: Path, *, is_forced: bool) -> None:
    """Write a conversation as .json (messages and figures) or .md (to read).

    Raises:
        UsageError: another suffix, a file that exists, or a place that cannot be written to.
    """
    from tui.answering.transcript_file import save_transcript

    save_transcript(transcript_of(conversation), path, is_forced=is_forced)


def transcript_of(conversation: Conversation) -> Transcript:
    """Return the conversation as its file states it."""
    from tui.answering.transcript_file import SpokenTurn, Transcript

    turns = [
        SpokenTurn(
            text=turn.text,
            parts=turn.answer.parts,
            model=turn.model,
            settings=turn.settings,
            num_tokens=turn.answer.num_tokens,
            stats=turn.answer.stats_row(),
        )
        for turn in conversation.turns
    ]
    return Transcript(
        model=conversation.model,
        system=conversation.system,
        settings=conversation.settings,
        turns=turns,
    )


def copy(text: str, home: LabHome) -> str:
    """Offer text to the terminal's clipboard and write it to a file; return what was done.

    No terminal says whether it took an OSC 52 sequence, so the file is always written.
    """
    data = text.encode("utf-8", errors="replace")
    kept = keep_copy(home, data)
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return f"{len(text)} characters are {kept}; there is no terminal to copy through"
    if len(data) > MAX_OSC52_BYTES:
        return f"{len(text)} characters are {kept}; too many for a terminal's clipboard"
    emit_part(f"\x1b]52;c;{base64.b64encode(data).decode('ascii')}\x07")
    return (
        f"{len(text)} characters went to the clipboard, if the terminal allows it, and are {kept}"
    )


def pick_turn(turns: Sequence[Turn]) -> Turn:
    """Return the last turn, or raise UsageError when nothing was said."""
    if not turns:
        raise UsageError("nothing has been answered yet")
    return turns[-1]

"""Getting words out of a talk: transcripts as files, answers to the clipboard."""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.files import replace_file
from labcli.chat.conversation import Conversation, Turn
from labcli.output import emit_part, plain
from runs.errors import UsageError
from runs.paths import LabHome
from tui.clipboard import MAX_OSC52_BYTES, keep_copy

if TYPE_CHECKING:
    from collections.abc import Sequence

SUFFIXES = (".json", ".md")


def save(conversation: Conversation, path: Path, *, is_forced: bool) -> None:
    """Write a conversation as .json (messages and figures) or .md (to read).

    Raises:
        UsageError: another suffix, a file that exists, or a place that cannot be written to.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path} ends neither in .json nor in .md; give one of these suffixes")
    text = as_json(conversation) if path.suffix == ".json" else as_markdown(conversation)
    data = text.encode("utf-8", errors="replace")
    try:
        if is_forced and path.exists():
            replace_file(path, data)
            return
        with open(path, "xb") as stream:
            stream.write(data)
    except FileExistsError:
        raise UsageError(f"{path} exists; /save --force {path} replaces it") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None


def as_json(conversation: Conversation) -> str:
    """Return the conversation as one JSON object; `messages` can be read as training data."""
    body = {
        "model": conversation.model,
        "system": conversation.system,
        "settings": conversation.settings.as_row(),
        "messages": conversation.messages(),
        "answers": [_answer_row(turn) for turn in conversation.turns],
    }
    return json.dumps(plain(body), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_markdown(conversation: Conversation) -> str:
    """Return the conversation as a page: each turn under a heading that says who speaks."""
    from core.engine.answer import readable

    blocks = [f"# A talk with {conversation.model}"]
    if conversation.system:
        blocks += ["## System", conversation.system]
    for turn in conversation.turns:
        model = turn.model if turn.model != conversation.model else ""
        who = f"Model ({model})" if model else "Model"
        figures = f"*{turn.answer.num_tokens} tokens, {turn.settings.summary()}*"
        blocks += ["## You", turn.text, f"## {who}", readable(turn.answer.parts), figures]
    return "\n\n".join(blocks) + "\n"


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


def _answer_row(turn: Turn) -> dict[str, Any]:
    return {
        "model": turn.model,
        **turn.answer.stats_row(),
        "settings": turn.settings.as_row(),
    }

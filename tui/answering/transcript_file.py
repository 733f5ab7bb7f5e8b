"""A talk as a file: JSON with its messages and figures, or Markdown to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.chat_format import Part
from core.engine.answer import readable
from core.files import replace_file
from runs.errors import UsageError
from tui.answering.sampling import TalkSettings

SUFFIXES = (".json", ".md")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenTurn:
    """A question, its answer, who gave it, how it was drawn and what it took."""

    text: str
    parts: tuple[Part, ...]
    model: str
    settings: TalkSettings
    num_tokens: int
    stats: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """A whole talk; `model` is the one that speaks now."""

    model: str
    system: str | None
    settings: TalkSettings
    turns: Sequence[SpokenTurn]

    def messages(self) -> list[dict[str, Any]]:
        """Return the turns as messages, after the system text."""
        messages: list[dict[str, Any]] = []
        if self.system:
            messages.append({"role": "system", "content": self.system})
        for turn in self.turns:
            content = [{"type": part.type, "text": part.text} for part in turn.parts]
            messages.append({"role": "user", "content": turn.text})
            messages.append({"role": "assistant", "content": content})
        return messages


def save_transcript(talk: Transcript, path: Path, *, is_forced: bool) -> None:
    """Write a talk as .json (messages and figures) or .md (to read).

    Raises:
        UsageError: another suffix, a file that exists, or a place that cannot be written to.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path} ends neither in .json nor in .md; give one of these suffixes")
    text = as_json(talk) if path.suffix == ".json" else as_markdown(talk)
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


def as_json(talk: Transcript) -> str:
    """Return the talk as one JSON object; `messages` can be read as training data."""
    body = {
        "model": talk.model,
        "system": talk.system,
        "settings": talk.settings.as_row(),
        "messages": talk.messages(),
        "answers": [
            {"model": turn.model, **turn.stats, "settings": turn.settings.as_row()}
            for turn in talk.turns
        ],
    }
    return json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_markdown(talk: Transcript) -> str:
    """Return the talk as a page: each turn under a heading that says who speaks."""
    blocks = [f"# A talk with {talk.model}"]
    if talk.system:
        blocks += ["## System", talk.system]
    for turn in talk.turns:
        model = turn.model if turn.model != talk.model else ""
        who = f"Model ({model})" if model else "Model"
        figures = f"*{turn.num_tokens} tokens, {turn.settings.summary()}*"
        blocks += ["## You", turn.text, f"## {who}", readable(turn.parts), figures]
    return "\n\n".join(blocks) + "\n"

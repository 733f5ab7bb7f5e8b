"""A conversation as people type it: JSON messages, or lines that begin with who speaks. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from runs.errors import UsageError

_SPEAKER = re.compile(r"^(system|user|assistant):[ \t]*", re.MULTILINE)


def parse_conversation(text: str) -> list[dict[str, Any]]:
    """Return the messages in a text; one without any speaker is the user's.

    Raises:
        UsageError: it looks like JSON and holds no list of messages.
    """
    if text.lstrip()[:1] in ("[", "{"):
        return _parse_json(text)
    found = list(_SPEAKER.finditer(text))
    if not found or text[: found[0].start()].strip():
        return [{"role": "user", "content": text}]
    ends = [*(match.start() for match in found[1:]), len(text)]
    return [
        {"role": match[1], "content": text[match.end() : end].rstrip("\n")}
        for match, end in zip(found, ends, strict=True)
    ]


def _parse_json(text: str) -> list[dict[str, Any]]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"this is no JSON: {error}") from None
    messages = body.get("messages") if isinstance(body, dict) else body
    if not isinstance(messages, list) or not all(isinstance(item, dict) for item in messages):
        raise UsageError('there is no list of messages such as [{"role": "user", "content": "Hi"}]')
    return messages

"""The topics that conversations start from: built in, or a text with one per line. Torch-free."""

from __future__ import annotations

from pathlib import Path

from runs.errors import UsageError

_BUILT_IN = Path(__file__).with_name("topics.txt")


def built_in_topics() -> tuple[str, ...]:
    """Return the topics that come with labcli."""
    return parse_topics(_BUILT_IN.read_text("utf-8"), source=str(_BUILT_IN))


def parse_topics(text: str, *, source: str) -> tuple[str, ...]:
    """Return the topics in a text, one per line; blank lines and those after # are passed over.

    Raises:
        UsageError: there is none.
    """
    lines = [line.strip() for line in text.splitlines()]
    topics = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not topics:
        raise UsageError(f"{source} holds no topic; write one per line")
    return topics

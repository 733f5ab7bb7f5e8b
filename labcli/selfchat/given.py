"""What a person gives a self-chat to talk about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.experiments.selfchat.topics import built_in_topics, parse_topics
from labcli.chat.reading import read_stdin
from runs.errors import NotFound, UsageError


def topics_of(typed: Sequence[str], source: str | None) -> tuple[str, ...]:
    """Return the topics of the command line, then those of a file; without any, the built-in ones.

    Raises:
        UsageError: a topic is empty, or the file holds none or cannot be read.
        NotFound: there is no such file.
    """
    if not all(text.strip() for text in typed):
        raise UsageError("a topic is empty; write what they should talk about")
    from_file = () if source is None else parse_topics(_read(source), source=source)
    known = (text for text in map(valid_text, typed) if text is not None)
    return tuple(dict.fromkeys((*known, *from_file))) or built_in_topics()


def valid_text(typed: str | None) -> str | None:
    """Return a text of the command line with what is no UTF-8 in it replaced."""
    return None if typed is None else typed.encode("utf-8", "replace").decode("utf-8")


def _read(source: str) -> str:
    if source == "-":
        return read_stdin()
    try:
        return Path(source).read_text("utf-8", errors="replace")
    except FileNotFoundError:
        raise NotFound(f"no file of topics at {source}") from None
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror or error}") from None

"""What tok commands are given to look at (a text, a file, stdin), and how wide they may write."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from labcli import diagnostics
from labcli.options import optional
from runs.errors import NotFound, UsageError

STDIN = "-"

TextArgument = Annotated[
    str | None,
    typer.Argument(metavar="TEXT", help="Look at this text; '-' reads stdin.", show_default=False),
]
FileOption = Annotated[
    Path | None,
    optional("--file", "FILE", "Look at the text of a file."),
]
TokenizerOption = Annotated[
    str | None,
    optional(
        "--tokenizer",
        "REF",
        "Choose a file, a saved name, a run, or gpt2, cl100k_base, o200k_base, ...; "
        "default: the last run's, else one trained on this machine's documentation.",
    ),
]
TokenizersOption = Annotated[
    list[str] | None,
    optional(
        "--tokenizer",
        "REF",
        "Choose a tokenizer, once for each: a file, a saved name, a run, gpt2, ...",
    ),
]


def read_text(text: str | None, file: Path | None) -> str | None:
    """Return the text that was given, with U+FFFD (and a note) for bytes that are not UTF-8.

    Raises:
        UsageError: both a text and a file were given.
        NotFound: the file cannot be read.
    """
    if text is not None and file is not None:
        raise UsageError("give a text or --file, not both")
    if file is not None:
        return _decoded(read_bytes(file), str(file))
    if text == STDIN:
        return _decoded(sys.stdin.buffer.read(), "stdin")
    return text


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file, of stdin for '-'."""
    if str(path) == STDIN:
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}") from None


def read_messages(path: Path) -> list[dict[str, Any]]:
    """Return the messages of a JSON file: a list, or an object that holds one as "messages".

    Raises:
        UsageError: it is not JSON, or holds no list of objects.
    """
    try:
        body = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: {error}") from None
    messages = body.get("messages") if isinstance(body, dict) else body
    if not isinstance(messages, list) or not all(isinstance(item, dict) for item in messages):
        raise UsageError(
            f'{path} has no list of messages such as [{{"role": "user", "content": "Hi"}}]'
        )
    return messages


def is_coloured() -> bool:
    """Return whether stdout is a terminal that wants colour."""
    is_plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not is_plain


def _decoded(data: bytes, source: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        diagnostics.say(f"{source} is not UTF-8 from byte {error.start} on; U+FFFD stands for it")
        return data.decode(errors="replace")

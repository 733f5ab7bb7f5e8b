"""`labcli tok decode`: turn token ids into text."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from labcli import diagnostics
from labcli.options import HomeOption, JsonOption, home_of, lone_command
from labcli.output import emit_bytes, emit_json, emit_part
from labcli.tok.given import TokenizerOption
from runs.errors import UsageError

STDIN = "-"
_SEPARATORS = re.compile(r"[\s,\[\]]+")
_NUMBER = re.compile(r"[0-9]{1,10}")

app = lone_command()

Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID",
        help="Decode these ids, by spaces or commas or as a JSON list; '-' or none reads stdin.",
        show_default=False,
    ),
]
Bytes = Annotated[bool, typer.Option("--bytes", help="Write the bytes as they are.")]


@app.command()
def decode(
    ctx: typer.Context,
    ids: Ids = None,
    tokenizer: TokenizerOption = None,
    is_raw: Bytes = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Turn token ids into text; special tokens come out as their names."""
    from labcli.tok.refs import resolve_tokenizer

    if is_raw and json:
        raise UsageError("--bytes and --json exclude each other; give one of them")
    words = ids or [STDIN]
    numbers = _numbers(_stdin() if words == [STDIN] else " ".join(words))
    named = resolve_tokenizer(home_of(ctx, home), tokenizer)
    data = named.tokenizer.decode_bytes(numbers)
    if is_raw:
        emit_bytes(data)
        return
    text = data.decode(errors="replace")
    num_replaced = text.count("\ufffd") - data.count("\ufffd".encode())
    if num_replaced:
        diagnostics.say(f"bytes that are not UTF-8, shown as U+FFFD: {num_replaced}")
    if json:
        emit_json(
            {
                "tokenizer": named.name,
                "num_tokens": len(numbers),
                "num_bytes": len(data),
                "num_replaced": num_replaced,
                "text": text,
            }
        )
    else:
        shown = _printable(text) if sys.stdout.isatty() else text
        emit_part(shown if shown.endswith("\n") else shown + "\n")


def _stdin() -> str:
    return sys.stdin.buffer.read().decode(errors="replace")


def _printable(text: str) -> str:
    """Return text without control characters, which could steer the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)


def _numbers(text: str) -> Sequence[int]:
    words = [word for word in _SEPARATORS.split(text) if word]
    wrong = next((word for word in words if not _NUMBER.fullmatch(word)), None)
    if wrong is not None:
        raise UsageError(f"{wrong[:40]!r} is not a token id; give numbers, such as 72 101")
    return [int(word) for word in words]

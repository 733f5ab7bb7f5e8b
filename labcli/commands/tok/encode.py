"""`labcli tok encode`: turn a text into token ids."""

from __future__ import annotations

import json as json_module
import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from labcli import diagnostics
from labcli.options import HomeOption, JsonOption, home_of, lone_command
from labcli.output import emit, stdout_columns
from labcli.tok.given import (
    STDIN,
    FileOption,
    TextArgument,
    TokenizerOption,
    is_coloured,
    read_text,
)
from runs.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.tokenizer import Tokenizer
    from labcli.tok.refs import NamedTokenizer

# A terminal is shown at most this much; whoever wants it all pipes it.
MAX_SHOWN_LINES = 200

app = lone_command()

Ids = Annotated[bool, typer.Option("--ids", help="Write the ids on a terminal, too.")]
AllowSpecial = Annotated[
    bool,
    typer.Option("--allow-special", help="Read <|bos|> and the others as special tokens."),
]


@app.command()
def encode(
    ctx: typer.Context,
    text: TextArgument = None,
    file: FileOption = None,
    tokenizer: TokenizerOption = None,
    ids: Ids = False,
    allow_special: AllowSpecial = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Turn a text into token ids: one line of them in a pipe, a view of the tokens on a terminal.

    Without a text, stdin is read. Names of special tokens in the text are text like any other.
    """
    from labcli.tok.refs import resolve_tokenizer

    if ids and json:
        raise UsageError("--ids and --json exclude each other; give one of them")
    if text is None and file is None:
        if sys.stdin is not None and sys.stdin.isatty():
            raise UsageError("give a text, --file FILE, or text on stdin")
        text = STDIN
    given = read_text(text, file) or ""
    named = resolve_tokenizer(home_of(ctx, home), tokenizer)
    found = _encode(named.tokenizer, given, allow_special=allow_special)
    width = stdout_columns()
    if json:
        emit(_json(named, given, found))
    elif ids or width is None:
        emit(" ".join(map(str, found.tolist())))
    else:
        emit(_view(named, given, found, width))


def _encode(tokenizer: Tokenizer, text: str, *, allow_special: bool) -> NDArray[np.unsignedinteger]:
    if not allow_special:
        return tokenizer.bulk.encode(text)
    import numpy as np

    from core.tokenizer import SPECIAL_TOKENS

    names = "|".join(map(re.escape, SPECIAL_TOKENS))
    pieces = [
        np.array([tokenizer.special(piece)], tokenizer.id_dtype)
        if piece in SPECIAL_TOKENS
        else tokenizer.bulk.encode(piece)
        for piece in re.split(f"({names})", text)
    ]
    return np.concatenate(pieces).astype(tokenizer.id_dtype, copy=False)


def _num_bytes(text: str) -> int:
    # A lone surrogate is encoded as U+FFFD, which takes three bytes as well.
    return len(text.encode("utf-8", "surrogatepass"))


def _json(named: NamedTokenizer, text: str, ids: NDArray[np.unsignedinteger]) -> str:
    """Return one line: a long text has millions of ids."""
    num_bytes = _num_bytes(text)
    row = {
        "tokenizer": named.name,
        "ids": ids.tolist(),
        "num_tokens": len(ids),
        "num_bytes": num_bytes,
        "num_chars": len(text),
        "bytes_per_token": round(num_bytes / len(ids), 4) if len(ids) else None,
    }
    return json_module.dumps(row, ensure_ascii=False)


def _view(named: NamedTokenizer, text: str, ids: NDArray[np.unsignedinteger], width: int) -> str:
    from labcli.tok.views import SEPARATOR, ribbon

    # A line holds no more tokens than cells.
    shown = ids[: MAX_SHOWN_LINES * width].tolist()
    tokens = [named.tokenizer.token_bytes(index) for index in shown]
    view = ribbon(tokens, columns=width, num_lines=MAX_SHOWN_LINES, is_coloured=is_coloured())
    num_bytes = _num_bytes(text)
    ratio = f", {num_bytes / len(ids):.2f} bytes each" if len(ids) else ""
    diagnostics.say(
        f"{named.name}: {len(ids):,} tokens of {num_bytes:,} bytes{ratio}; '{SEPARATOR}' stands "
        "between tokens, \\n and \\t for white space; --ids writes ids"
    )
    return view

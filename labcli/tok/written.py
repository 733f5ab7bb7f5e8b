"""What the tok commands write to files: never over another file unasked, never half."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runs.errors import UsageError

if TYPE_CHECKING:
    from core.tokenizer import Tokenizer

ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is another one.")]


def write_files(files: Mapping[Path, bytes], *, force: bool) -> None:
    """Write files; those that are there with the same content are left alone.

    Raises:
        UsageError: one of them is there with another content, and `force` is not given.
    """
    from core.files import replace_file

    changed = {path: content for path, content in files.items() if _content(path) != content}
    taken = [path for path in changed if path.exists()]
    if taken and not force:
        raise UsageError(f"{taken[0]} exists and is another file; --force replaces it")
    for path, content in changed.items():
        try:
            replace_file(path, content)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from None


def save_tokenizer(tokenizer: Tokenizer, path: Path, *, force: bool) -> None:
    """Write a tokenizer; see `write_files`.

    A file with the same vocabulary counts as the same, whatever it says of its training.
    """
    from core.tokenizer import Tokenizer
    from runs.errors import Corrupt

    if path.is_file() and not force:
        try:
            there = Tokenizer.from_file(path)
        except Corrupt:
            raise UsageError(f"{path} exists and is another file; --force replaces it") from None
        if (there.tokens, there.pattern) == (tokenizer.tokens, tokenizer.pattern):
            return
        raise UsageError(f"{path} holds another tokenizer; --force replaces it")
    try:
        tokenizer.save(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None

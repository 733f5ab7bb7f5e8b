"""`labcli tok export`: write a tokenizer for another tool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from labcli import diagnostics
from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.output import emit, emit_json
from labcli.text.figures import size
from labcli.tok.written import ForceOption, write_files

if TYPE_CHECKING:
    from core.tokenizer import Tokenizer


app = lone_command()

Ref = Annotated[
    str,
    typer.Argument(
        metavar="TOKENIZER",
        help="Write this one: a file, a saved name, a run, gpt2, ...",
        show_default=False,
    ),
]
Form = Annotated[
    Literal["tiktoken", "hf", "nanochat"],
    optional(
        "--format",
        "FORMAT",
        "Write tiktoken (a file), hf (tokenizer.json) or nanochat (a directory).",
    ),
]
Out = Annotated[
    Path,
    optional("--out", "PATH", "Write to this file or directory."),
]


@app.command()
def export(
    ctx: typer.Context,
    tokenizer: Ref,
    form: Form,
    out: Out,
    force: ForceOption = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Write a tokenizer for another tool, which then gives the same ids."""
    from labcli.tok.refs import resolve_tokenizer

    named = resolve_tokenizer(home_of(ctx, home), tokenizer)
    files = _files(named.tokenizer, form, out.expanduser())
    write_files(files, force=force)
    if form == "tiktoken":
        diagnostics.say(
            "a tiktoken file holds neither special tokens nor this split pattern:\n"
            + named.tokenizer.pattern
        )
    if json:
        emit_json(
            {
                "tokenizer": named.name,
                "format": form,
                "vocab_size": named.tokenizer.vocab_size,
                "files": [{"path": str(path), "bytes": len(data)} for path, data in files.items()],
            }
        )
    else:
        emit("\n".join(f"{path}  {size(len(content))}" for path, content in files.items()))


def _files(tokenizer: Tokenizer, form: str, out: Path) -> Mapping[Path, bytes]:
    """Return what to write where; --out of one file may be a directory that is there."""
    from core.vocab.exporting import huggingface_file, tiktoken_file

    if form == "nanochat":
        # Here alone: this one needs torch.
        from core.vocab.nanochat_export import nanochat_files

        return {out / name: content for name, content in nanochat_files(tokenizer).items()}
    if form == "hf":
        content = huggingface_file(tokenizer)
        return {out / "tokenizer.json" if out.is_dir() else out: content}
    return {out / "vocab.tiktoken" if out.is_dir() else out: tiktoken_file(tokenizer)}

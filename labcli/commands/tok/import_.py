"""`labcli tok import`: take in a tokenizer of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from labcli import diagnostics
from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.output import emit, emit_json
from labcli.tok.written import ForceOption, save_tokenizer

app = lone_command()

Path_ = Annotated[
    Path,
    typer.Argument(
        metavar="PATH",
        help="Read this tiktoken file, tokenizer.json, or nanochat's tokenizer directory.",
        show_default=False,
    ),
]
Name = Annotated[
    str,
    optional("--name", "NAME", "Keep it in the lab home by this name."),
]
Pattern = Annotated[
    str | None,
    optional(
        "--pattern",
        "NAME|REGEX",
        "Split words so, not as the file says; tiktoken files say nothing.",
    ),
]
Form = Annotated[
    Literal["tiktoken", "hf", "nanochat"] | None,
    typer.Option(
        "--format", metavar="FORMAT", help="Read it as tiktoken, hf or nanochat; default: guessed."
    ),
]


@app.command()
def import_(
    ctx: typer.Context,
    path: Path_,
    name: Name,
    pattern: Pattern = None,
    form: Form = None,
    force: ForceOption = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Take in a tokenizer of another tool.

    It keeps the ids of its tokens and gets this lab's nine special tokens after them; its own
    special tokens are left out. A pickle is read as data and never run.
    """
    from core.vocab.importing import load_vocabulary
    from core.vocab.patterns import pattern_label
    from labcli.tok.refs import saved_path

    target = saved_path(home_of(ctx, home), name)
    found = load_vocabulary(path.expanduser(), form=form, pattern=pattern)
    save_tokenizer(found.tokenizer, target, force=force)
    for note in found.notes:
        diagnostics.say(note)
    if found.dropped_specials:
        diagnostics.say(f"special tokens left out: {_listed(found.dropped_specials)}")
    label = pattern_label(found.tokenizer.pattern)
    if json:
        emit_json(
            {
                "name": name,
                "path": str(target),
                "format": found.format,
                "vocab_size": found.tokenizer.vocab_size,
                "pattern": label,
                "has_merges": found.tokenizer.merges is not None,
                "dropped_specials": found.dropped_specials,
                "notes": found.notes,
                "sha256": found.tokenizer.hash,
            }
        )
    else:
        emit(f"{name}  {found.tokenizer.vocab_size:,} ids  pattern {label}  {target}")


def _listed(names: tuple[str, ...], limit: int = 8) -> str:
    """Return the names; of many, the first few and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more

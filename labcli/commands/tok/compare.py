"""`labcli tok compare`: how several tokenizers cut the same text, and where they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from labcli import diagnostics
from labcli.options import HomeOption, JsonOption, home_of, lone_command
from labcli.output import emit, emit_json, stdout_columns
from labcli.tok.given import FileOption, TextArgument, TokenizersOption, read_text
from runs.errors import UsageError

if TYPE_CHECKING:
    from core.inspection.explained import Explained
    from labcli.tok.refs import NamedTokenizer


app = lone_command()

LimitOption = Annotated[
    int,
    typer.Option("--limit", min=1, metavar="N", help="Show at most N differences and N lines."),
]


@app.command()
def compare(
    ctx: typer.Context,
    text: TextArgument = None,
    file: FileOption = None,
    tokenizer: TokenizersOption = None,
    limit: LimitOption = 10,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show how tokenizers cut the same text: counts, differences, vocabularies they share.

    With one --tokenizer, it is compared with the default one.
    """
    whole = read_text(text, file)
    if not whole:
        raise UsageError("there is no text to compare on; give one, or --file FILE")

    from core.inspection.explained import explain_text
    from labcli.tok.refs import resolve_tokenizer

    refs: list[str | None] = [*(tokenizer or [])]
    if len(refs) < 2:
        refs = [None, *refs]
    if len(refs) < 2:
        raise UsageError("name the tokenizers to compare: --tokenizer A --tokenizer B")
    lab = home_of(ctx, home)
    named = [resolve_tokenizer(lab, ref) for ref in refs]
    explained = [explain_text(entry.tokenizer, whole) for entry in named]
    if json:
        emit_json(_object(named, explained, limit))
    else:
        _show(named, explained, limit)


def _show(named: list[NamedTokenizer], explained: list[Explained], limit: int) -> None:
    from core.inspection.difference import differing_stretches, tokens_per_line
    from labcli.tok import comparison

    width = stdout_columns()
    names = comparison.distinct([entry.name for entry in named])
    stretches = differing_stretches(explained)
    parts = [
        comparison.counts_table(names, named, explained, width),
        comparison.overlap_table(names, [entry.tokenizer for entry in named], width),
    ]
    num_differing = len(stretches.starts)
    if num_differing == 0:
        parts.append("They cut this text at the same places.")
    else:
        parts.append(comparison.differences_table(names, explained, stretches, limit, width))
    lines = tokens_per_line(explained)
    if len(lines.starts) > 1 and lines.spread.any():
        parts.append(comparison.lines_table(names, explained[0], lines, limit, width))
    emit("\n\n".join(parts))
    if num_differing > limit:
        diagnostics.say(f"{limit} of {num_differing:,} differences shown; --limit N shows more")


def _object(named: list[NamedTokenizer], explained: list[Explained], limit: int) -> dict[str, Any]:
    from core.inspection.difference import differing_stretches, tokens_per_line
    from labcli.tok import comparison

    stretches = differing_stretches(explained)
    return {
        "tokenizers": comparison.counts_objects(named, explained),
        "overlaps": comparison.overlap_objects(named),
        "num_differences": len(stretches.starts),
        "differences": comparison.difference_objects(explained, stretches, limit),
        "lines": comparison.line_objects(explained[0], tokens_per_line(explained), limit),
    }

"""`labcli runs list`: runs, newest first; filtered, sorted, grouped, with columns."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from labcli.analysis.listing import (
    columns_table,
    flat_rows,
    group_rows,
    groups_table,
    rows_of,
)
from labcli.options import (
    HELP_NAMES,
    CsvOption,
    HomeOption,
    JsonlOption,
    JsonOption,
    TableOption,
    home_of,
    pick_format,
)
from labcli.output import Format, emit, emit_json, emit_json_line, emit_rows, stdout_columns
from labcli.shown.runs import LIST_COLUMNS, list_table
from runs.errors import UsageError
from runs.registry.collecting import uncollected
from runs.views.card import RunCard, keep_cards, load_cards
from runs.views.columns import check_keys, group_cards, parse_columns, sort_cards
from runs.views.filters import select
from runs.views.run_keys import Key, parse_key

DEFAULT_GROUP_COLUMNS = "stage,val_bpb,created"

app = typer.Typer(rich_markup_mode=None, add_completion=False)

# "-note:x" is a term of a filter, where a shell user means "not"; it is no option.
_NEGATED = re.compile(r"-(?P<term>[a-z][\w.-]*(?::|!?[=~]|[<>]).*)", re.DOTALL)


class FilterCommand(TyperCommand):
    """A command whose arguments may be negated terms, which begin like options."""

    # Typer keeps its context class private, so `ctx` has no public type to name.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words after the command."""
        terms = [_NEGATED.fullmatch(word) for word in args]
        words = [
            f"not {found['term']}" if found else word
            for found, word in zip(terms, args, strict=True)
        ]
        return super().parse_args(ctx, words)


FilterArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILTER",
        help="Keep the runs that pass, such as: 'depth=12 val_bpb<0.9 tag:keep not state:failed'.",
        show_default=False,
    ),
]
Sort = Annotated[
    str | None,
    typer.Option("--sort", metavar="KEY", help="Sort by a setting, a metric or created."),
]
Reverse = Annotated[bool, typer.Option("--reverse", help="Turn the order round.")]
Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="A,B,...", help="Show these, as in depth,min:loss,loss@100."),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, help="Stop after N runs.", show_default=False),
]
GroupBy = Annotated[
    str | None,
    typer.Option("--group-by", metavar="KEY", help="Put runs with the same value together."),
]


@app.command(cls=FilterCommand, context_settings=HELP_NAMES)
@uncollected()
def list_(
    ctx: typer.Context,
    filters: FilterArgument = None,
    sort: Sort = None,
    reverse: Reverse = False,
    columns: Columns = None,
    limit: Limit = None,
    group_by: GroupBy = None,
    json: JsonOption = False,
    jsonl: JsonlOption = False,
    csv: CsvOption = False,
    table: TableOption = False,
    home: HomeOption = None,
) -> None:
    """List runs, newest first.

    A filter compares settings (depth=12), metrics (val_bpb<0.9, min:loss<3, loss@100<4) and times
    (created>2d, elapsed<30m), or looks into tag: note: name: state: and other fields. Terms side
    by side must all hold; there are or, not and parentheses too. Quote < and > from the shell.
    """
    form = pick_format(json=json, jsonl=jsonl, csv=csv, table=table)
    keys = parse_columns(columns) if columns else ()
    cards = load_cards(home_of(ctx, home))
    chosen = select(" ".join(filters or ()), cards)
    check_keys([*keys, *(parse_key(name) for name in (sort, group_by) if name)], cards)
    if sort:
        chosen = sort_cards(chosen, parse_key(sort), is_reversed=reverse)
    elif reverse:
        chosen.reverse()
    chosen = chosen[:limit]
    keep_cards(cards)
    if group_by:
        _emit_groups(chosen, parse_key(group_by), keys, form)
    else:
        _emit_runs(chosen, keys, form, is_filtered=bool(filters))


def _emit_runs(
    cards: list[RunCard], keys: tuple[Key, ...], form: Format, *, is_filtered: bool
) -> None:
    if form is Format.TABLE:
        emit(_table(cards, keys, is_filtered=is_filtered))
        return
    rows = rows_of(cards, keys)
    if form is Format.CSV:
        rows = flat_rows(rows)
    names = [*LIST_COLUMNS, *(key.text for key in keys if key.text not in LIST_COLUMNS)]
    emit_rows(rows, form, table="", columns=names)


def _table(cards: list[RunCard], keys: tuple[Key, ...], *, is_filtered: bool) -> str:
    if not cards and is_filtered:
        return "no run passes this filter"
    width = stdout_columns()
    if keys:
        return columns_table(cards, keys, width=width)
    return list_table([card.view for card in cards], width=width)


def _emit_groups(cards: list[RunCard], by: Key, keys: tuple[Key, ...], form: Format) -> None:
    keys = keys or parse_columns(DEFAULT_GROUP_COLUMNS)
    groups = group_cards(cards, by)
    if form is Format.CSV:
        raise UsageError("--group-by makes no CSV; use --json, or --columns with the key in it")
    if form is Format.TABLE:
        emit(groups_table(groups, by, keys) if groups else "no run passes this filter")
    elif form is Format.JSON:
        emit_json(group_rows(groups, by, keys))
    else:
        for row in group_rows(groups, by, keys):
            emit_json_line(row)

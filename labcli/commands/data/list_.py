"""`labcli data list`: the corpora of this lab, and those that can be downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from labcli.options import (
    CsvOption,
    HomeOption,
    JsonlOption,
    JsonOption,
    TableOption,
    home_of,
    lone_command,
    pick_format,
)
from labcli.output import emit_rows, stdout_columns
from runs.paths import LabHome

app = lone_command()


@app.command(name="list")
def list_(
    ctx: typer.Context,
    json: JsonOption = False,
    jsonl: JsonlOption = False,
    csv: CsvOption = False,
    table: TableOption = False,
    home: HomeOption = None,
) -> None:
    """List the corpora here, and those to get.

    A corpus can be trained on with --set data.corpus=NAME, by its name or its id.
    """
    from core.data.catalogue import corpora
    from labcli.data.view import COLUMNS, corpus_row, list_text

    form = pick_format(json=json, jsonl=jsonl, csv=csv, table=table)
    lab = home_of(ctx, home)
    rows = [corpus_row(corpus.path, corpus.manifest) for corpus in corpora(lab.data_dir)]
    rows += _downloads(lab)
    emit_rows(rows, form, table=list_text(rows, width=stdout_columns()), columns=COLUMNS)


def _downloads(lab: LabHome) -> Iterator[dict[str, Any]]:
    """Yield what can be downloaded, with what of it is here."""
    from core.data.remote.corpus import downloads_dir
    from core.data.remote.known import REMOTE_CORPORA

    for corpus in REMOTE_CORPORA.values():
        here = sorted(downloads_dir(lab.data_dir, corpus).glob("shard_*.parquet"))
        yield {
            "kind": "download",
            "name": corpus.name,
            "corpus_id": None,
            "path": str(downloads_dir(lab.data_dir, corpus)),
            "num_shards": len(here),
            "num_shards_planned": corpus.num_shards,
            "num_docs": None,
            "num_chars": None,
            "bytes": sum(path.stat().st_size for path in here),
            "about": corpus.about,
            "state": f"{len(here)} of {corpus.num_shards:,} shards",
        }

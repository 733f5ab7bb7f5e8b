"""`labcli data describe`: what a corpus holds, and whether it is what it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from labcli.options import HomeOption, JsonOption, home_of, lone_command
from labcli.output import emit, emit_json, stdout_columns
from labcli.text.figures import size
from labcli.text.tables import render, render_facts

app = lone_command()

CorpusArgument = Annotated[
    str,
    typer.Argument(
        metavar="CORPUS",
        help="Name the corpus: its id or the start of it, its name, or its directory.",
        show_default=False,
    ),
]
Verify = Annotated[bool, typer.Option("--verify", help="Hash every shard.")]
Samples = Annotated[
    int, typer.Option("--samples", metavar="N", min=0, help="Show the start of N documents.")
]
SAMPLE_CHARS = 300
NUM_SHARDS_SHOWN = 12


@app.command()
def describe(
    ctx: typer.Context,
    corpus: CorpusArgument,
    verify: Verify = False,
    samples: Samples = 1,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show what a corpus holds."""
    from itertools import islice

    from core.data.catalogue import find_named
    from core.data.shards import load_manifest
    from labcli.data.view import corpus_facts, corpus_row

    found = find_named(home_of(ctx, home).data_dir, corpus)
    manifest = load_manifest(found.path, verify=verify)
    row = corpus_row(found.path, manifest)
    row["is_verified"] = verify
    row["shards"] = [
        {"name": shard.name, "split": shard.split, "num_docs": shard.num_docs,
         "num_chars": shard.num_chars, "bytes": shard.bytes, "sha256": shard.sha256}
        for shard in manifest.shards
    ]  # fmt: skip
    row["token_caches"] = [
        {
            "tokenizer": path.name.removeprefix("tokens-"),
            "bytes": sum(file.stat().st_size for file in path.iterdir()),
        }
        for path in sorted(found.path.glob("tokens-*"))
        if not path.name.endswith(".partial")
    ]
    row["samples"] = [text[:SAMPLE_CHARS] for text in islice(_any_text(found.path), samples)]
    if json:
        emit_json(row)
        return
    facts = corpus_facts(row)
    facts["hashes"] = "every shard is what it was" if verify else ""
    facts["tokenized"] = ", ".join(
        f"{cache['tokenizer']} ({size(cache['bytes'])})" for cache in row["token_caches"]
    )
    shown = render_facts(facts, width=stdout_columns())
    emit("\n\n".join([shown, _shards_text(row["shards"]), *row["samples"]]))


def _any_text(path: Path) -> Iterator[str]:
    from core.data.shards import read_texts

    yield from read_texts(path, "train")
    yield from read_texts(path, "val")


def _shards_text(shards: list[dict[str, Any]]) -> str:
    shown = shards if len(shards) <= NUM_SHARDS_SHOWN else [*shards[:8], *shards[-2:]]
    rows = [
        [
            shard["name"],
            shard["split"],
            f"{shard['num_docs']:,}",
            f"{shard['num_chars']:,}",
            size(shard["bytes"]),
            shard["sha256"][:16],
        ]
        for shard in shown
    ]
    if len(shown) < len(shards):
        rows.insert(8, [f"... {len(shards) - len(shown)} more"])
    header = ("SHARD", "SPLIT", "DOCUMENTS", "CHARACTERS", "SIZE", "SHA256")
    return render(header, [[*row, *[""] * (6 - len(row))] for row in rows], right="llrrrl")

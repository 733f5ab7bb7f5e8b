"""`labcli data prepare`: shuffle a person's own text into a corpus of this lab."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labcli import diagnostics
from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.output import emit, emit_json, stdout_columns
from labcli.text.tables import render_facts
from runs.errors import ExitCode
from runs.paths import LabHome

if TYPE_CHECKING:
    from core.data.corpus import Corpus
    from core.data.own.documents import DocumentFile
    from core.data.own.prepare import Preparation

app = lone_command()

Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE",
        help="Read these files, and those in these directories: parquet, or JSONL that may be "
        "compressed (.zst, .gz), as DCLM is.",
        show_default=False,
    ),
]
Name = Annotated[
    str | None, optional("--name", "NAME", "Call the corpus so; default: the first file's name.")
]
Column = Annotated[
    str, typer.Option(metavar="NAME", help="Take the text from this column or JSON key.")
]
Seed = Annotated[int, typer.Option(metavar="N", help="Shuffle with this seed.")]
ValShare = Annotated[
    float, typer.Option(metavar="X", help="Keep this share of the documents for validation.")
]
ShardChars = Annotated[
    int, typer.Option(metavar="N", min=1, help="Close a shard after N characters.")
]
Memory = Annotated[
    int, typer.Option("--memory-mib", metavar="N", min=16, help="Shuffle in N MiB of memory.")
]


@app.command()
def prepare(
    ctx: typer.Context,
    sources: Sources,
    name: Name = None,
    column: Column = "text",
    seed: Seed = 42,
    val_share: ValShare = 0.005,
    shard_chars: ShardChars = 250_000_000,
    memory_mib: Memory = 1024,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Make a corpus of your own text.

    Documents are shuffled as a whole and cut into shards; the validation shard is chosen by
    content, so it stays when files are added. Train on it with: labcli run speedrun
    --set data.corpus=NAME
    """
    from core.data.catalogue import corpus_name
    from core.data.own.prepare import Preparation, find_prepared, prepared_files
    from labcli.data.view import corpus_facts, corpus_row

    lab = home_of(ctx, home)
    files = prepared_files(sources)
    how = Preparation(
        name=name or sources[0].expanduser().resolve().name.split(".")[0],
        column=column,
        seed=seed,
        val_share=val_share,
        shard_chars=shard_chars,
        memory_bytes=memory_mib << 20,
    )
    made = find_prepared(lab.data_dir, files, how, verify=True)
    if made is not None:
        diagnostics.say("these files have been prepared before, and have not changed")
    else:
        made = _prepare(lab, files, how)
    if made is None:
        raise typer.Exit(ExitCode.INTERRUPTED)
    known_as = corpus_name(made.manifest)
    if known_as != how.name:
        diagnostics.say(f"the same text is here already: it is called {known_as}")
    row = corpus_row(made.path, made.manifest)
    emit_json(row) if json else emit(render_facts(corpus_facts(row), width=stdout_columns()))


def _prepare(lab: LabHome, files: list[DocumentFile], how: Preparation) -> Corpus | None:
    from core.data.own.prepare import prepare_corpus
    from labcli.data.following import follow
    from labcli.data.locks import holding

    with holding(lab):
        return follow(prepare_corpus(lab.data_dir, files, how, stop=lambda: False))

"""`labcli data get`: download shards of a known corpus and make a corpus of this lab of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from labcli import diagnostics
from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.output import emit, emit_json, stdout_columns
from labcli.text.tables import render_facts
from runs.errors import Busy, ExitCode
from runs.paths import LabHome

if TYPE_CHECKING:
    from core.data.corpus import Corpus
    from core.data.remote.corpus import Wanted
    from core.data.remote.known import Access

DEFAULT_NUM_SHARDS = 8
MOST_WORKERS = 64

app = lone_command()

NameArgument = Annotated[
    str,
    typer.Argument(metavar="<climbmix|fineweb-edu>", help="Name the corpus.", show_default=False),
]
NumShards = Annotated[
    int,
    typer.Option(
        "-n", "--num-shards", metavar="N", min=0, help="Get N training shards, 100 MB each."
    ),
]
First = Annotated[
    int, typer.Option("--first", metavar="N", min=0, help="Begin with training shard N.")
]
OnlyVal = Annotated[bool, typer.Option("--only-val", help="Get the validation shard and no other.")]
Workers = Annotated[
    int,
    typer.Option("--workers", metavar="N", min=1, max=MOST_WORKERS, help="Get N at a time."),
]
Endpoint = Annotated[
    str | None,
    optional("--endpoint", "URL", "Ask this server; default: $HF_ENDPOINT or Hugging Face."),
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Hash the shards that are here already, too.")
]


@app.command()
def get(
    ctx: typer.Context,
    name: NameArgument,
    num_shards: NumShards = DEFAULT_NUM_SHARDS,
    first: First = 0,
    only_val: OnlyVal = False,
    workers: Workers = 4,
    endpoint: Endpoint = None,
    verify: Verify = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Download shards of a corpus, checked.

    Sizes and hashes are those its publisher states. What was interrupted goes on where it ended;
    the validation shard comes first and never changes. $HF_TOKEN is sent when it is set.
    """
    from core.data.remote.corpus import Wanted
    from core.data.remote.known import access, remote_corpus

    lab = home_of(ctx, home)
    corpus = remote_corpus(name)
    wanted = Wanted(corpus=corpus, num_train=0 if only_val else num_shards, first=first)
    corpus.train_names(wanted.first, wanted.num_train)
    made = _get(lab, wanted, access(os.environ, endpoint), workers, is_verified=verify)
    if made is None:
        diagnostics.say("stopped; run the same command again to go on")
        raise typer.Exit(ExitCode.INTERRUPTED)
    from labcli.data.view import corpus_facts, corpus_row

    row = corpus_row(made.path, made.manifest)
    emit_json(row) if json else emit(render_facts(corpus_facts(row), width=stdout_columns()))


def _get(
    lab: LabHome, wanted: Wanted, server: Access, workers: int, *, is_verified: bool
) -> Corpus | None:
    from core.data.publish import DataLock
    from core.data.remote.corpus import discard_damaged, downloads_dir, fetch_shards, publish_corpus
    from labcli.data.following import follow
    from labcli.data.locks import holding

    directory = downloads_dir(lab.data_dir, wanted.corpus)
    with DataLock(directory) as lock:
        if not lock.try_acquire():
            raise Busy(f"{wanted.corpus.name} is being downloaded already; wait for that to end")
        if is_verified:
            for damaged in discard_damaged(directory):
                diagnostics.say(f"{damaged} differed from its hash and is downloaded again")
        index = follow(
            fetch_shards(lab.data_dir, wanted, server, stop=lambda: False, num_workers=workers)
        )
        if index is None:
            return None
        with holding(lab):
            return publish_corpus(lab.data_dir, wanted, index)

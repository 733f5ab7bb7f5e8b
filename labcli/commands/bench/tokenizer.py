"""`labcli bench tokenizer`: training and encoding beside installed peers."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labcli import diagnostics
from labcli.bench.tools import OURS, Task, describe_left_out, pick_tools
from labcli.commands.bench.options import MAX_VOCAB_SIZE, RoundsOption, parse_size
from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.output import emit, emit_json_line
from runs.errors import ExitCode


class PatternName(StrEnum):
    """The split patterns that can be measured."""

    LAB = "lab"
    GPT4 = "gpt4"
    GPT2 = "gpt2"


class TaskName(StrEnum):
    """What a tokenizer does."""

    TRAIN = "train"
    ENCODE = "encode"


app = lone_command()

CorpusOption = Annotated[
    Path | None,
    optional(
        "--corpus",
        "DIR",
        "Read parquet files with a column 'text', or .txt and .md files, below a directory; "
        "default: the documentation harvested from this machine.",
    ),
]
SizeOption = Annotated[
    str, typer.Option(metavar="20mb|100mb|350mb", help="Use this much of the text, or all of it.")
]
VocabOption = Annotated[
    int,
    typer.Option(
        min=257, max=MAX_VOCAB_SIZE, metavar="N", help="Learn this many tokens, bytes included."
    ),
]
PatternOption = Annotated[PatternName, typer.Option(help="Split words by this pattern.")]
ToolOption = Annotated[
    list[str] | None,
    optional(
        "--tool",
        "NAME",
        "Measure this peer beside labcli; may be repeated; default: every installed one.",
    ),
]
TaskOption = Annotated[
    TaskName | None, typer.Option(help="Measure this alone; default: both.", show_default=False)
]


@app.command()
def tokenizer(
    ctx: typer.Context,
    corpus: CorpusOption = None,
    size: SizeOption = "20mb",
    vocab_size: VocabOption = 32_768,
    rounds: RoundsOption = 3,
    pattern: PatternOption = PatternName.LAB,
    tool: ToolOption = None,
    task: TaskOption = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Measure tokenizers: training, encoding, memory.

    Installed peers are measured beside labcli, and their results compared. Every measurement runs
    in a process of its own; the tools take turns. Training uses all cores, encoding one thread and
    the vocabulary that labcli learned. PEAK is the whole process, NET what it has above one that
    only reads the text.
    """
    from labcli.bench.table import render_rows
    from labcli.bench.text import copy_text
    from labcli.bench.tokenizer import Bench, measure_task
    from labcli.data.harvested import harvested_corpus

    limit = parse_size(size)
    tasks: list[Task] = [task.value] if task else ["train", "encode"]
    selection = pick_tools(tool or [], tasks, pattern)
    for line in describe_left_out(selection):
        diagnostics.say(line)
    source = corpus or harvested_corpus(home_of(ctx, home))
    with tempfile.TemporaryDirectory(prefix="labcli-bench-") as directory:
        text = copy_text(
            source,
            Path(directory),
            limit=limit,
            with_text_file=any(item.needs_text_file for item in selection.tools),
        )
        diagnostics.say(
            f"{text.num_docs:,} documents, {text.num_bytes / 1e6:.2f} MB, of {source}"
            + (", which holds no more" if text.is_all else "")
        )
        plan = Bench(
            text=text,
            directory=Path(directory),
            pattern=pattern.value,
            vocab_size=vocab_size,
            rounds=rounds,
        )
        rows = [row for name in tasks for row in measure_task(plan, name, selection.tools)]
    if json:
        emit_json_line(rows)
    else:
        emit(render_rows(rows))
    if any("error" in row and row["tool"] == OURS for row in rows):
        raise typer.Exit(ExitCode.FAILED)

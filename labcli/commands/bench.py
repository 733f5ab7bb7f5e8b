"""`labcli bench`: how fast the lab's own parts are, beside installed peers."""

from __future__ import annotations

import re
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labcli import diagnostics
from labcli.bench.tools import OURS, Task, describe_left_out, pick_tools
from labcli.lazy import Group
from labcli.options import HomeOption, JsonOption, home_of
from labcli.output import emit, emit_json_line
from runs.errors import ExitCode, UsageError

HELP_NAMES = {"help_option_names": ["-h", "--help"]}
SIZE = re.compile(r"(\d+)\s*(kb|mb|gb)", re.IGNORECASE)
UNIT_BYTES = {"kb": 10**3, "mb": 10**6, "gb": 10**9}
MAX_VOCAB_SIZE = 1_000_000

app = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    add_completion=False,
    help="Measure speed against installed peers.",
    context_settings=HELP_NAMES,
)


class PatternName(StrEnum):
    """The split patterns that can be measured."""

    LAB = "lab"
    GPT4 = "gpt4"
    GPT2 = "gpt2"


class TaskName(StrEnum):
    """What a tokenizer does."""

    TRAIN = "train"
    ENCODE = "encode"


CorpusOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Read parquet files with a column 'text', or .txt and .md files, below a directory; "
        "default: the documentation harvested from this machine.",
        show_default=False,
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
RoundsOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="Measure every tool this often; medians count.")
]
PatternOption = Annotated[PatternName, typer.Option(help="Split words by this pattern.")]
ToolOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Measure this peer beside labcli; may be repeated; default: every installed one.",
        show_default=False,
    ),
]
TaskOption = Annotated[
    TaskName | None, typer.Option(help="Measure this alone; default: both.", show_default=False)
]


@app.callback()
def bench() -> None:
    """Measure speed against installed peers."""


@app.command(context_settings=HELP_NAMES)
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
    """Compare training and encoding with installed peers: time, memory and results.

    Every measurement runs in a process of its own; the tools take turns. Training uses all cores,
    encoding one thread and the vocabulary that labcli learned. PEAK is the whole process, NET what
    it has above one that only reads the text.
    """
    from labcli.bench.table import render_rows
    from labcli.bench.text import copy_text
    from labcli.bench.tokenizer import Bench, measure_task
    from labcli.harvested import harvested_corpus

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


def parse_size(text: str) -> int:
    """Return a size such as 20mb in bytes."""
    match = SIZE.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise UsageError(f"--size takes a size such as 20mb, 100mb or 350mb, not {text!r}")
    return int(match[1]) * UNIT_BYTES[match[2].lower()]

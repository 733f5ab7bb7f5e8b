"""`labcli bench`: how fast the lab's own parts are, beside installed peers."""

from __future__ import annotations

import os
import re
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labcli import diagnostics
from labcli.bench.tools import OURS, Task, describe_left_out, pick_tools
from labcli.lazy import Group
from labcli.options import HELP_NAMES, HomeOption, JsonOption, home_of, optional
from labcli.output import emit, emit_json_line
from runs.errors import ExitCode, UsageError, nearest

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


class WeightsName(StrEnum):
    """The types that the engine can compute with."""

    NATIVE = "native"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


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
RoundsOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="Measure every tool this often; medians count.")
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
ModelOption = Annotated[
    str | None,
    optional(
        "--model", "REF", "Measure RUN[:STAGE][@STEP] or a checkpoint; default: random weights."
    ),
]
DepthOption = Annotated[int, typer.Option(min=1, metavar="N", help="Give it this many layers.")]
ModelVocabOption = Annotated[
    int, typer.Option(min=265, max=MAX_VOCAB_SIZE, metavar="N", help="Give it this many tokens.")
]
BatchOption = Annotated[
    str, typer.Option(metavar="N,...", help="Let so many requests run at a time.")
]
PromptOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="Ask with prompts of N tokens.")
]
NewOption = Annotated[int, typer.Option(min=2, metavar="N", help="Let answers have N tokens.")]
WeightsOption = Annotated[
    str, typer.Option(metavar="TYPE,...", help=f"Compute with {', '.join(WeightsName)}.")
]
StreamsOption = Annotated[
    int, typer.Option(min=1, max=512, metavar="N", help="Ask for so many answers at once.")
]
DeviceOption = Annotated[
    str | None,
    optional("--device", "NAME", "Run on cpu, cuda, cuda:N or mps."),
]


TrainVocabOption = Annotated[
    int, typer.Option("--vocab", metavar="N", help="Give the model this many tokens.")
]
LengthOption = Annotated[int, typer.Option(min=2, metavar="N", help="Train on rows of N tokens.")]
RowsOption = Annotated[int, typer.Option(min=1, metavar="N", help="Take so many rows per step.")]
HeadOption = Annotated[int, typer.Option(min=2, metavar="N", help="Make heads this wide.")]
WindowOption = Annotated[
    str, typer.Option(metavar="SSSL", help="Let layers see far (L) or a quarter of it (S).")
]
DtypeOption = Annotated[
    str, typer.Option(metavar="auto|float32|bfloat16", help="Compute with this type.")
]
CompileOption = Annotated[
    str, typer.Option("--compile", metavar="auto|on|off", help="Compile the step.")
]
StepsOption = Annotated[int, typer.Option(min=1, metavar="N", help="Make N steps per round.")]
BaselineOption = Annotated[
    bool, typer.Option("--baseline", help="Measure the reference's default path in turns with it.")
]
LossStepsOption = Annotated[
    int | None,
    optional("--loss-steps", "N", "Compare bits per byte after N steps too, for three seeds."),
]
OnlyOption = Annotated[
    list[str] | None,
    optional(
        "--only",
        "TASK",
        "Measure emit, ingest, kill, list, history, tail or launch; may be repeated; default: all.",
    ),
]
ViewTaskOption = Annotated[
    list[str] | None,
    optional(
        "--only",
        "TASK",
        "Measure paint, idle, filter, live, points or playground; may be repeated; default: all.",
    ),
]
RunsOption = Annotated[int, typer.Option(min=1, metavar="N", help="List so many runs.")]
PointsOption = Annotated[int, typer.Option(min=9, metavar="N", help="Draw so many points.")]
TextSizeOption = Annotated[str, typer.Option(metavar="10kb", help="Type into so much text.")]
SecondsOption = Annotated[
    float, typer.Option(min=0.5, metavar="S", help="Watch for so long what happens by itself.")
]
SoakOption = Annotated[bool, typer.Option("--soak", help="Measure at full size.")]


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
    """Measure tokenizers: training, encoding, memory.

    Installed peers are measured beside labcli, and their results compared. Every measurement runs
    in a process of its own; the tools take turns. Training uses all cores, encoding one thread and
    the vocabulary that labcli learned. PEAK is the whole process, NET what it has above one that
    only reads the text.
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


@app.command(context_settings=HELP_NAMES)
def train(
    ctx: typer.Context,
    depth: DepthOption = 4,
    vocab_size: TrainVocabOption = 8192,
    seq_len: LengthOption = 512,
    device_batch: RowsOption = 8,
    head_dim: HeadOption = 64,
    window: WindowOption = "L",
    dtype: DtypeOption = "auto",
    compiled: CompileOption = "auto",
    steps: StepsOption = 5,
    rounds: RoundsOption = 3,
    device: DeviceOption = None,
    baseline: BaselineOption = False,
    loss_steps: LossStepsOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Measure training: tokens per second, phases, memory.

    The baseline is nanochat's default path on a CPU as the lab's own code can state it: float32,
    compiled, all logits at once, text tokenised on the way. Each side has a process of its own,
    and they take turns. MFU is against the best matrix product of this CPU, or a GPU's peak.
    """
    from labcli.bench.train import Plan, measure, render_row
    from labcli.bench.train_job import TrainJob
    from labcli.harvested import harvested_corpus

    if loss_steps is not None and not baseline:
        raise UsageError("--loss-steps compares with the baseline; add --baseline")
    job = TrainJob(
        side="ours",
        depth=depth,
        vocab_size=vocab_size,
        sequence_len=seq_len,
        device_batch_size=device_batch,
        head_dim=head_dim,
        window_pattern=window,
        dtype=dtype,
        compile=compiled,
        device=device or "auto",
        seed=42,
        total_steps=2 + steps * rounds,
    )
    plan = Plan(
        job=job,
        steps=steps,
        rounds=rounds,
        with_baseline=baseline,
        loss_steps=loss_steps,
        corpus=None if loss_steps is None else harvested_corpus(home_of(ctx, home)),
    )
    row = measure(plan)
    if json:
        emit_json_line(row)
    else:
        emit(render_row(row))


@app.command(context_settings=HELP_NAMES)
def infer(
    ctx: typer.Context,
    model: ModelOption = None,
    depth: DepthOption = 4,
    vocab_size: ModelVocabOption = 32_768,
    batch: BatchOption = "1,8,32",
    prompt: PromptOption = 128,
    new: NewOption = 128,
    weights: WeightsOption = "native",
    rounds: RoundsOption = 3,
    device: DeviceOption = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Measure the engine: time to first token, speed.

    A plain one without a cache is measured beside it: both take turns in this process and write
    greedily. MBU and MFU are the shares of the machine's bandwidth and arithmetic that are used.
    Without --model the weights are random.
    """
    from labcli.bench.infer import Case, measure, render_rows
    from labcli.bench.infer_model import random_model
    from labcli.speaker import load_speaker
    from runs.refs import resolve_checkpoint

    case = Case(
        batches=parse_batches(batch),
        weights=parse_weights(weights),
        num_prompt=prompt,
        num_new=new,
        rounds=rounds,
    )
    if model is None:
        subject, its_tokenizer = random_model(depth, vocab_size, device or "cpu")
    else:
        engine = load_speaker(resolve_checkpoint(home_of(ctx, home), model), device).engine
        subject, its_tokenizer = engine.model, engine.tokenizer
    rows = measure(subject, its_tokenizer, case)
    if json:
        emit_json_line(rows)
    else:
        emit(render_rows(rows))


@app.command(context_settings=HELP_NAMES)
def serve(
    ctx: typer.Context,
    model: ModelOption = None,
    depth: DepthOption = 4,
    vocab_size: ModelVocabOption = 4096,
    streams: StreamsOption = 32,
    prompt: PromptOption = 64,
    new: NewOption = 128,
    rounds: RoundsOption = 3,
    device: DeviceOption = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Measure `labcli serve` under many streams beside the engine alone: speed and latencies.

    The two take turns with the same requests. Without --model the weights are random.
    """
    # As in the server's workers, before torch loads OpenMP.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from labcli.bench.infer_model import random_model
    from labcli.bench.serve import Case, load_engine, measure, render_row, save_random
    from runs.refs import resolve_checkpoint

    case = Case(num_streams=streams, num_prompt=prompt, num_new=new, rounds=rounds)
    with tempfile.TemporaryDirectory(prefix="labcli-bench-") as directory:
        if model is None:
            checkpoint = save_random(*random_model(depth, vocab_size), Path(directory))
        else:
            checkpoint = resolve_checkpoint(home_of(ctx, home), model).path
        row = measure(load_engine(checkpoint, device, streams), checkpoint, case, device)
    if json:
        emit_json_line([row])
    else:
        emit(render_row(row))
    if row["num_lost"]:
        raise typer.Exit(ExitCode.FAILED)


@app.command(context_settings=HELP_NAMES)
def registry(
    only: OnlyOption = None,
    soak: SoakOption = False,
    json: JsonOption = False,
) -> None:
    """Measure event logs, the registry and history.

    Each figure stands beside its target; logging also beside installed trackers (wandb offline,
    trackio), which take turns with labcli in processes of their own. Of these, trackio reads runs
    back without a server, and is measured at that too. Takes three minutes; with --soak, over 100
    million points, ten.
    """
    from labcli.bench.registry.figures import LONG, SHORT, TASKS, measure_all, render_figures

    for name in only or []:
        if name not in TASKS:
            raise UsageError(f"no task {name!r} to measure{nearest(name, list(TASKS))}")
    tasks = only or list(TASKS)
    figures = list(measure_all(LONG if soak else SHORT, tasks, diagnostics.say))
    if json:
        emit_json_line([figure.row() for figure in figures])
    else:
        emit(render_figures(figures))


@app.command(context_settings=HELP_NAMES)
def tui(
    only: ViewTaskOption = None,
    runs: RunsOption = 1000,
    points: PointsOption = 1_000_000,
    text_size: TextSizeOption = "10kb",
    seconds: SecondsOption = 10.0,
    rounds: RoundsOption = 5,
    json: JsonOption = False,
) -> None:
    """Measure the full-screen views, each figure beside its target.

    On a pty the app runs as people start it, at 200 by 50, and a frame counts when all of it has
    arrived; headless figures are processor time alone. Takes two minutes.
    """
    from labcli.bench.registry.figures import render_figures
    from labcli.bench.tui.figures import TASKS, Extent, measure_all

    for name in only or []:
        if name not in TASKS:
            raise UsageError(f"no task {name!r} to measure{nearest(name, list(TASKS))}")
    extent = Extent(
        num_runs=runs,
        num_points=points,
        text_bytes=parse_size(text_size, "--text-size"),
        seconds=seconds,
        rounds=rounds,
    )
    figures = list(measure_all(extent, only or list(TASKS), diagnostics.say))
    if json:
        emit_json_line([figure.row() for figure in figures])
    else:
        emit(render_figures(figures))


def parse_batches(text: str) -> list[int]:
    """Return batch sizes such as 1,8,32."""
    sizes = [int(word) for word in text.split(",") if word.strip().isdigit()]
    if len(sizes) != len(text.split(",")) or 0 in sizes:
        raise UsageError(f"--batch takes sizes such as 1,8,32, not {text!r}")
    return sizes


def parse_weights(text: str) -> list[WeightsName]:
    """Return types of weights such as float32,int8; bf16 is short for bfloat16."""
    words = [word.strip() for word in text.split(",")]
    try:
        return [WeightsName("bfloat16" if word == "bf16" else word) for word in words]
    except ValueError:
        known = ", ".join(WeightsName)
        raise UsageError(f"--weights takes some of {known}, not {text!r}") from None


def parse_size(text: str, option: str = "--size") -> int:
    """Return a size such as 20mb in bytes."""
    match = SIZE.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise UsageError(f"{option} takes a size such as 20mb, 100mb or 350mb, not {text!r}")
    return int(match[1]) * UNIT_BYTES[match[2].lower()]

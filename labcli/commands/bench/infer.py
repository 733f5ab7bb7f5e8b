"""`labcli bench infer`: the engine beside a plain one."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from labcli.commands.bench.options import (
    DepthOption,
    DeviceOption,
    ModelOption,
    ModelVocabOption,
    NewOption,
    PromptOption,
    RoundsOption,
)
from labcli.options import HomeOption, JsonOption, home_of, lone_command
from labcli.output import emit, emit_json_line
from runs.errors import UsageError


class WeightsName(StrEnum):
    """The types that the engine can compute with."""

    NATIVE = "native"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


app = lone_command()

BatchOption = Annotated[
    str, typer.Option(metavar="N,...", help="Let so many requests run at a time.")
]
WeightsOption = Annotated[
    str, typer.Option(metavar="TYPE,...", help=f"Compute with {', '.join(WeightsName)}.")
]


@app.command()
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
    from labcli.speaking.speaker import load_speaker
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

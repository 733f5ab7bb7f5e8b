"""`labcli bench serve`: the server under load beside its engine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
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
from runs.errors import ExitCode

app = lone_command()

StreamsOption = Annotated[
    int, typer.Option(min=1, max=512, metavar="N", help="Ask for so many answers at once.")
]


@app.command()
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
    """Measure the server under many streams: speed, latencies.

    It takes turns with its engine alone, which answers the same requests. Without --model the
    weights are random.
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

"""`labcli bench train`: the training step beside the reference's default path."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli.commands.bench.options import DepthOption, DeviceOption, RoundsOption
from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.output import emit, emit_json_line
from runs.errors import UsageError

app = lone_command()

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
    str, typer.Option(metavar="auto|float32|bfloat16|float16", help="Compute with this type.")
]
Fp8Option = Annotated[
    bool, typer.Option("--fp8", help="Multiply in 8-bit floats, which GPUs from Hopper on can.")
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


@app.command()
def train(
    ctx: typer.Context,
    depth: DepthOption = 4,
    vocab_size: TrainVocabOption = 8192,
    seq_len: LengthOption = 512,
    device_batch: RowsOption = 8,
    head_dim: HeadOption = 64,
    window: WindowOption = "L",
    dtype: DtypeOption = "auto",
    fp8: Fp8Option = False,
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
    from labcli.bench.train import Learning, Plan, measure, render_row
    from labcli.bench.train_job import TrainJob
    from labcli.data.harvested import harvested_corpus

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
        fp8="on" if fp8 else "off",
        compile=compiled,
        device=device or "auto",
        seed=42,
        total_steps=2 + steps * rounds,
    )
    learning = None
    if loss_steps is not None:
        learning = Learning(steps=loss_steps, corpus=harvested_corpus(home_of(ctx, home)))
    row = measure(
        Plan(job=job, steps=steps, rounds=rounds, with_baseline=baseline, learning=learning)
    )
    if json:
        emit_json_line(row)
    else:
        emit(render_row(row))

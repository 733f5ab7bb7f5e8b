"""`python -m labcli.bench.train_worker JOB`: one side of `labcli bench train`.

It says that it is ready, then makes as many steps as each line of its input asks for and says
what they cost. It ends with its input.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from labcli.bench.infer_peaks import forget_peak, peak_bytes
from labcli.bench.meter import Meter
from labcli.bench.train_job import Ready, StepCost, TrainJob, to_line
from labcli.output import emit_json_line
from runs.errors import ExitCode, LabError

if TYPE_CHECKING:
    import torch

    from core.bench.subjects import Subject, Trainee


def subject_of(job: TrainJob) -> Subject:
    """Return the settings that a job describes."""
    from core.bench.subjects import Subject
    from core.config import BaseConfig, build_stage_config
    from core.device import pick_device

    config = build_stage_config(
        "base",
        {
            "depth": job.depth,
            "head_dim": job.head_dim,
            "sequence_len": job.sequence_len,
            "window_pattern": job.window_pattern,
            "device_batch_size": job.device_batch_size,
            "total_batch_size": job.device_batch_size * job.sequence_len,
            "num_iterations": job.total_steps,
            "dtype": job.dtype,
            "compile": job.compile,
            "seed": job.seed,
        },
    )
    assert isinstance(config, BaseConfig)
    return Subject(
        config=config,
        vocab_size=job.vocab_size,
        device=pick_device(_named(job.device)),
        total_steps=job.total_steps,
    )


def serve(job: TrainJob) -> None:
    """Answer on stdout until stdin ends."""
    import torch

    from core.bench.subjects import OurTrainee, ReferenceTrainee
    from core.device import peak_flops
    from core.hardware_table import shipped_table
    from core.scaling import flops_per_token

    subject = subject_of(job)
    peak, start_bytes = None, peak_bytes(subject.device)
    if job.side == "ours":
        trainee: Trainee = OurTrainee(subject)
        peak = peak_flops(subject.device, trainee.model.dtype, shipped_table())
    else:
        trainee = ReferenceTrainee(subject)
    start_s = time.perf_counter()
    trainee.step()
    _wait_for(subject.device)
    emit_json_line(
        to_line(
            Ready(
                dtype=str(trainee.model.dtype).removeprefix("torch."),
                is_compiled=trainee.is_compiled,
                first_step_s=time.perf_counter() - start_s,
                num_params=sum(parameter.numel() for parameter in trainee.model.parameters()),
                flops_per_token=flops_per_token(trainee.model.config),
                peak_flops=peak,
                start_memory_bytes=start_bytes,
                threads=torch.get_num_threads(),
                torch=torch.__version__,
            )
        )
    )
    for line in sys.stdin:
        emit_json_line(to_line([_measured(trainee, subject.device) for _ in range(int(line))]))


def _measured(trainee: Trainee, device: torch.device) -> StepCost:
    trainee.phases.take()
    forget_peak(device)
    before = peak_bytes(device)
    meter = Meter()
    with meter:
        loss = trainee.step()
        _wait_for(device)
    return StepCost(
        wall_s=meter.wall_s,
        cpu_s=meter.cpu_s,
        loss=loss,
        phases=trainee.phases.take(),
        peak_memory_bytes=peak_bytes(device),
        memory_before_bytes=before,
    )


def _named(device: str) -> str:
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def main(argv: list[str]) -> int:
    """Serve the job in the first argument; an expected failure is one line on stderr."""
    # Libraries may write to stdout, which carries the answers alone.
    answers = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(answers, "w", encoding="utf-8")
    try:
        serve(TrainJob.from_json(argv[0]))
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.USAGE
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

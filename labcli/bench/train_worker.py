"""`python -m labcli.bench.train_worker JOB`: one side of `labcli bench train`.

It says that it is ready, then answers each line of its input: a number asks for so many steps
and what they cost, a word for a figure (see train_job). It ends with its input.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labcli.bench.infer_peaks import forget_peak, peak_bytes
from labcli.bench.meter import Meter
from labcli.bench.parent import end_with_parent
from labcli.bench.train_job import Ready, StepCost, TrainJob, in_options
from labcli.output import emit_json_line
from runs.errors import ExitCode, LabError

if TYPE_CHECKING:
    import torch

    from core.bench.documents import Documents
    from core.bench.subjects import Subject, Trainee


def subject_of(job: TrainJob) -> Subject:
    """Return the settings that a job describes."""
    from core.bench.subjects import Subject
    from core.config import build_stage_config
    from core.device import pick_device
    from core.settings.training import BaseConfig

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
            "fp8": job.fp8,
            "compile": job.compile,
            "seed": job.seed,
        },
    )
    assert isinstance(config, BaseConfig)
    return Subject(
        config=config,
        documents=_documents(job, "train"),
        device=pick_device(_named(job.device)),
        total_steps=job.total_steps,
    )


def _documents(job: TrainJob, split: str) -> Documents:
    if job.corpus is None or job.tokenizer is None:
        from core.bench.documents import make_documents

        return make_documents(job.vocab_size)
    from core.bench.corpus_text import read_documents

    return read_documents(Path(job.corpus), Path(job.tokenizer), split, seed=job.seed)


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
    ready = Ready(
        dtype=str(trainee.model.dtype).removeprefix("torch."),
        has_fp8=job.fp8 == "on" and job.side == "ours",
        is_compiled=trainee.is_compiled,
        first_step_s=time.perf_counter() - start_s,
        num_params=sum(parameter.numel() for parameter in trainee.model.parameters()),
        flops_per_token=flops_per_token(trainee.model.config),
        peak_flops=peak,
        start_memory_bytes=start_bytes,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
    )
    emit_json_line(asdict(ready))
    for line in sys.stdin:
        emit_json_line(_answer(line.strip(), job, trainee, subject.device))


def _answer(request: str, job: TrainJob, trainee: Trainee, device: torch.device) -> Any:
    if request == "memory":
        from core.bench.tensor_memory import tensor_peak_bytes

        return tensor_peak_bytes(trainee.step, device)
    if request == "bpb":
        from core.bench.corpus_text import held_out_bpb

        return held_out_bpb(trainee.model, _documents(job, "val"), row_len=job.sequence_len)
    return [asdict(_measured(trainee, device)) for _ in range(int(request))]


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
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def main(argv: list[str]) -> int:
    """Serve the job in the first argument; an expected failure is one line on stderr."""
    end_with_parent()
    job = TrainJob.from_json(argv[0])
    # Libraries may write to stdout, which carries the answers alone.
    answers = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(answers, "w", encoding="utf-8")
    try:
        serve(job)
    except LabError as error:
        sys.stderr.write(f"{in_options(str(error))}\n")
        return ExitCode.USAGE
    except RuntimeError as error:
        from core.train.device_batch import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        sys.stderr.write(f"out of memory with {job.size}; take less of one of them\n")
        return ExitCode.FAILED
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The worker: measures one tool on one task in a process of its own.

`python -P -m labcli.bench.worker JOB`; prints one line of JSON with the measurements.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from core.peak_memory import process_peak_bytes
from core.vocab.byte_merges import digest
from labcli.bench import merges
from labcli.bench.encoding import ENCODERS, Batch, EncodeTool
from labcli.bench.job import Job, Measurement, Pass, to_answer
from labcli.bench.meter import Meter
from labcli.bench.parent import end_with_parent
from labcli.bench.text import arrow_batches
from labcli.bench.training import TRAINERS
from labcli.output import emit_json_line

NUM_WARM_PASSES = 3


def train(job: Job) -> list[Measurement]:
    """Return what training cost; the merges go to the job's file."""
    tool = TRAINERS[job.tool](job)
    meter = Meter()
    with meter:
        tool.train()
    peak = process_peak_bytes()
    found = tool.merges()
    if found is not None:
        merges.save(Path(job.merges_file), found)
    return [
        Measurement(
            wall_s=meter.wall_s,
            cpu_s=meter.cpu_s,
            peak_memory_bytes=peak,
            sha256=None if found is None else digest(found),
            num_merges=None if found is None else len(found),
        )
    ]


def encode(job: Job) -> list[Measurement]:
    """Return what the first pass over the text cost, and the best of the passes after it."""
    learned = merges.load(Path(job.merges_file))
    tool = ENCODERS[job.tool](job, learned)
    first = _encode_once(job, tool, "first")
    later = [_encode_once(job, tool, "warm") for _ in range(NUM_WARM_PASSES)]
    if any(item.sha256 != first.sha256 for item in later):
        raise RuntimeError("a later pass over the same text gave other ids")
    warm = Measurement(
        wall_s=min(item.wall_s for item in later),
        cpu_s=min(item.cpu_s for item in later),
        peak_memory_bytes=later[-1].peak_memory_bytes,
        sha256=first.sha256,
        passed="warm",
    )
    return [first, warm]


def _encode_once(job: Job, tool: EncodeTool, passed: Pass) -> Measurement:
    meter, digest, num_results = Meter(), hashlib.sha256(), 0
    for batch in _batches(job.text):
        with meter:
            result = tool.encode(batch)
        for ids in tool.ids(result):
            digest.update(ids)
            num_results += 1
        # Else this result would still be held while the next one is made.
        del result
    return Measurement(
        wall_s=meter.wall_s,
        cpu_s=meter.cpu_s,
        peak_memory_bytes=process_peak_bytes(),
        sha256=digest.hexdigest() if num_results else None,
        passed=passed,
    )


def _batches(path: str) -> Iterator[Batch]:
    for arrow in arrow_batches(path):
        yield Batch(texts=arrow.to_pylist(), arrow=arrow)


def main(argv: list[str]) -> None:
    """Measure the job in the first argument and print the answer."""
    end_with_parent()
    # Tools may write to stdout, which carries the answer alone.
    answer_fd = os.dup(1)
    os.dup2(2, 1)
    # The reader imports it where it reads, which is inside what is measured.
    import_module("pyarrow.parquet")
    job = Job.from_json(argv[0])
    answer = train(job) if job.task == "train" else encode(job)
    sys.stdout.flush()
    os.dup2(answer_fd, 1)
    emit_json_line(to_answer(answer))


if __name__ == "__main__":
    main(sys.argv[1:])

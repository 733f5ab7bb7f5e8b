"""What compiling cost at the first step, and whether an earlier start had done it already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from runs.events import Note


def kernels_note(first_step_s: float) -> Iterator[Note]:
    """Yield a note of what the first step compiled, if anything; call it after that step.

    first_step_s: how long the step took, in which this happened.
    """
    counted: Mapping[str, Mapping[str, int]] = torch._dynamo.utils.counters
    graphs = counted["inductor"]
    num_built, num_kept = graphs["fxgraph_cache_miss"], graphs["fxgraph_cache_hit"]
    if not num_built + num_kept:
        return
    if not num_built:
        how = "all kernels came from the cache of an earlier start"
    else:
        how = f"{num_built} graphs of kernels were built, {num_kept} came from the cache"
    yield Note(
        message=f"the first step took {first_step_s:.1f} s: {how}",
        data={
            "first_step_s": round(first_step_s, 3),
            "graphs_built": num_built,
            "graphs_from_cache": num_kept,
        },
    )

"""The most that tensors take at once during a step, by torch's own account.

A process on a CPU also holds torch, its compiler and what the allocator keeps: for a small model
that is more than the model, and a GPU's figure never had it in.
"""

from __future__ import annotations

import gc
import json
import tempfile
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function

_MEASURED = "labcli measured step"


def tensor_peak_bytes(step: Callable[[], object], device: torch.device) -> int:
    """Return the most bytes of tensors alive at once during a step; makes two steps.

    Weights, moments and gradients are in it. On a CPU every allocation is recorded, which slows
    these steps down.
    """
    if device.type == "cuda":
        step()
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return int(torch.cuda.max_memory_allocated(device))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        # A tensor from before the recording is not seen to go: the first step drops those.
        step()
        with record_function(_MEASURED):
            step()
    sizes = list(accumulate(_changes(recorded)))
    return _held_bytes() + max(sizes, default=0) - (sizes[-1] if sizes else 0)


def _changes(recorded: profile) -> list[int]:
    """Return by how many bytes tensors grew or shrank in the measured step, in order of time."""
    with tempfile.TemporaryDirectory(prefix="labcli-bench-") as directory:
        trace = Path(directory) / "trace.json"
        recorded.export_chrome_trace(str(trace))
        events = json.loads(trace.read_bytes())["traceEvents"]
    begun = next(event["ts"] for event in events if event.get("name") == _MEASURED)
    found = [e for e in events if e.get("name") == "[memory]" and e["ts"] >= begun]
    return [event["args"]["Bytes"] for event in sorted(found, key=lambda event: event["ts"])]


def _held_bytes() -> int:
    """Return the bytes of all tensors that there are now."""
    gc.collect()
    storages = {}
    for found in gc.get_objects():
        # The type alone: torch has proxies that warn, or compute, when they are looked at.
        if type(found) in (Tensor, nn.Parameter) and found.device.type == "cpu":
            storage = found.untyped_storage()
            try:
                storages[storage.data_ptr()] = storage.nbytes()
            except RuntimeError:
                # The compiler's own, which stand for a shape and have no memory.
                continue
    return sum(storages.values())

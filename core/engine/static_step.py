"""An eager step over buffers that stay where they are: on a GPU a CUDA graph, replayed.

A step of a small model is hundreds of launches of a few microseconds each; a graph is one. Its
kernels read and write fixed addresses, so a graph is good for one shape and one place of the
cache. Elsewhere the same step runs over the same buffers, launch by launch.

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# The first launches of a kernel may allocate or choose an algorithm, which a capture forbids.
NUM_WARM_UPS = 3
# A graph holds its intermediate tensors; a long conversation passes through many sights.
MAX_GRAPHS = 32

Step = Callable[[Tensor], Tensor]


class StaticStep:
    """One shape of a step.

    Args:
        step: from numbers, (4, B), to logits, (B, V). Running it again with the same numbers must
            change nothing, since warming up runs it several times.
        pool: torch.cuda.graph_pool_handle(), memory of graphs that never run at a time; or None.
    """

    def __init__(self, step: Step, num_rows: int, device: torch.device, pool: Any) -> None:
        self._step = step
        self._pool = pool
        self._numbers_4B = torch.zeros(4, num_rows, dtype=torch.long, device=device)
        self._is_graphed = device.type == "cuda"
        self._graph: torch.cuda.CUDAGraph | None = None
        self._out_BV = torch.empty(0)

    def __call__(self, numbers: Sequence[Sequence[int]]) -> Tensor:
        """Return logits, (B, V), which the next call overwrites."""
        self._numbers_4B.copy_(torch.tensor(numbers))
        if not self._is_graphed:
            return self._step(self._numbers_4B)
        if self._graph is None:
            self._graph = self._capture()
        self._graph.replay()
        return self._out_BV

    def _capture(self) -> torch.cuda.CUDAGraph:
        device = self._numbers_4B.device
        aside = torch.cuda.Stream(device)
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(aside):
            for _ in range(NUM_WARM_UPS):
                self._step(self._numbers_4B)
        torch.cuda.current_stream(device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            self._out_BV = self._step(self._numbers_4B)
        return graph


class StaticSteps:
    """The static steps of one decoder by what they were made for; forget() when the cache moves."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        self._steps: dict[tuple[int, ...], StaticStep] = {}

    def forget(self) -> None:
        """Drop every step."""
        self._steps.clear()

    def run(self, key: tuple[int, ...], step: Step, numbers: Sequence[Sequence[int]]) -> Tensor:
        """Return logits of the step that was first seen under this key."""
        if key not in self._steps:
            while len(self._steps) >= MAX_GRAPHS:
                del self._steps[next(iter(self._steps))]
            self._steps[key] = StaticStep(step, len(numbers[0]), self._device, self._pool)
        return self._steps[key](numbers)

"""Whether the loss of a step is compiled, and why it is not where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from core.hardware import has_compiler, why_not_compiled
from core.loss import LossFn, loss_terms, make_loss, summed_loss
from core.model import GPT
from runs.errors import StageFailed, UsageError

# The share of what a backward pass would read that is kept for it; the rest, which is elementwise,
# is computed again. On a CPU that is no slower, since it is then in a cache: a d4's step keeps 63
# of 180 MB less. Not measured on a GPU.
CPU_KEPT_SHARE = 0.8


def compiled_loss(setting: str, device: torch.device) -> tuple[LossFn, str | None]:
    """Return the loss function, compiled if asked and possible, and why it is eager if not."""
    reason = why_eager(setting, device)
    if reason is not None:
        return summed_loss, reason
    if device.type == "cpu":
        # There is no other way to say it to one call of torch.compile.
        torch._functorch.config.activation_memory_budget = CPU_KEPT_SHARE
    loss_fn = make_loss(
        torch.compile(GPT.trunk, dynamic=False, fullgraph=True),
        torch.compile(loss_terms, dynamic=False, fullgraph=True),
    )
    return loss_fn, None


def why_eager(setting: str, device: torch.device) -> str | None:
    """Return why nothing is compiled; None where it is asked for and possible."""
    if setting == "off":
        return "training runs eager: compile is off"
    reason = _why_not_compiled(device)
    if reason is None:
        return None
    if setting == "on":
        raise UsageError(f"compile = on is not possible here: {reason}; use auto or off")
    return f"training runs eager: {reason}"


def _why_not_compiled(device: torch.device) -> str | None:
    """Return what keeps torch.compile from working, found by compiling something small."""
    reason = why_not_compiled(device.type, has_compiler=has_compiler())
    if reason is not None:
        return reason
    try:
        torch.compile(torch.neg)(torch.ones(2, device=device))
    # The second where the directory of kernels cannot be made.
    except (RuntimeError, OSError) as error:
        return f"torch.compile fails on this machine ({_first_line(error)})"
    # What is counted from here on is of the training (core.train.kernels).
    torch._dynamo.utils.counters.clear()
    return None


@contextmanager
def naming_failed_kernels(stage: str) -> Iterator[None]:
    """Say in one line that kernels cannot be built, although those of the first look could."""
    try:
        yield
    except RuntimeError as error:
        # By its name: the compiler may be what cannot be imported.
        if not any(kind.__name__ == "BackendCompilerFailed" for kind in type(error).__mro__):
            raise
        raise StageFailed(
            f"the kernels of the step cannot be built ({_first_line(error)}); mend that and "
            f"resume, or start a new run with --set {stage}.compile=off"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]

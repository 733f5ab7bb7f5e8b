"""Whether the loss of a step is compiled, and why it is not where it is not."""

from __future__ import annotations

import torch

from core.hardware import has_compiler
from core.loss import LossFn, loss_terms, make_loss, summed_loss
from core.model import GPT
from runs.errors import UsageError


def compiled_loss(setting: str, device: torch.device) -> tuple[LossFn, str | None]:
    """Return the loss function, compiled if asked and possible, and why it is eager if not."""
    if setting == "off":
        return summed_loss, "training runs eager: compile is off"
    reason = _why_not_compiled(device)
    if reason is None:
        return compile_loss(), None
    if setting == "on":
        raise UsageError(f"compile = on is not possible here: {reason}; use auto or off")
    return summed_loss, f"training runs eager: {reason}"


def compile_loss() -> LossFn:
    """Return the loss with its trunk and its chunks compiled, each as one graph."""
    return make_loss(
        torch.compile(GPT.trunk, dynamic=False, fullgraph=True),
        torch.compile(loss_terms, dynamic=False, fullgraph=True),
    )


def _why_not_compiled(device: torch.device) -> str | None:
    """Return what keeps torch.compile from working, found by compiling something small."""
    if device.type == "mps":
        return "kernels for Apple GPUs are not proven"
    if device.type == "cpu" and not has_compiler():
        return "no C++ compiler with Python headers on this machine"
    try:
        torch.compile(torch.neg)(torch.ones(2, device=device))
    except RuntimeError as error:
        first_line = str(error).strip().splitlines()[0]
        return f"torch.compile fails on this machine ({first_line[:200]})"
    return None

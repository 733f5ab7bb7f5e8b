"""Where two curves part and what could have parted them, in sentences. Pure."""

from __future__ import annotations

from runs.analysis.reasons import Reason
from runs.analysis.why import Why
from tui.analysis.words import signed


def parting_lines(found: Why, first: str, second: str) -> list[str]:
    """Return where the curves part, in sentences."""
    at = found.parting
    lines = []
    if at.same_until == at.last_step:
        return [f"the curves are equal at all {at.num_steps} shared steps"]
    if at.same_until is not None:
        lines.append(f"equal to the last digits up to step {at.same_until}")
    noise = f"{at.threshold:.2g} over windows of {at.window} steps"
    if at.step is None or at.difference is None:
        lines.append(f"the curves never leave the noise ({noise}); {_final(found)}")
    else:
        better = second if at.final_difference < 0 else first
        lines.append(
            f"the curves part at step {at.step} of {at.last_step} ({signed(at.difference)}, "
            f"beyond the noise of {noise}); {_final(found)}, {better} is lower"
        )
    if found.schedule_from is not None:
        lines.append(f"their learning rates differ from step {found.schedule_from} on")
    if not found.noise_floor:
        lines.append("no two runs differ by seed alone, so only the noise of steps is known")
    return lines


def about_line(reason: Reason) -> str:
    """Return what a difference can do, or why it cannot have parted the curves."""
    if reason.acts_from is None or reason.could_part:
        return reason.about
    return f"too late to part them: acts from step {reason.acts_from}"


def _final(found: Why) -> str:
    return f"at the end they are {signed(found.parting.final_difference)} apart"

"""Which stages of a recipe a plan has. Torch-free, pure."""

from __future__ import annotations

from collections.abc import Sequence

from runs.errors import UsageError, nearest

# What the model and its text are planned from, also where a plan runs other stages only.
NEEDED_STAGES = ("data", "tok", "base")


def chosen_stages(
    recipe: str, known: Sequence[str], *, only: str | None, until: str | None
) -> Sequence[str]:
    """Return the stages that a plan runs: all, one alone, or those up to one.

    Raises:
        UsageError: the recipe has no such stage, or lacks one that every plan needs.
    """
    if missing := [stage for stage in NEEDED_STAGES if stage not in known]:
        needed = ", ".join(NEEDED_STAGES)
        raise UsageError(f"{recipe} lacks the stage {missing[0]}; a recipe has {needed}")
    for option, stage in (("--only", only), ("--until", until)):
        if stage is not None and stage not in known:
            raise UsageError(f"{option}: unknown stage {stage!r}{nearest(stage, known)}")
    if only is not None:
        return (only,)
    return known if until is None else known[: known.index(until) + 1]

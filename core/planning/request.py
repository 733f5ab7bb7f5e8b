"""What is to be planned, as people name it: a recipe, a recipe file or one stage. Torch-free.

The recipe itself comes from the caller; nothing is looked up here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.config import EXPERIMENT_CONFIGS, STAGE_CONFIGS
from core.hardware import Hardware
from core.plan import Plan, resolve
from runs.errors import UsageError, nearest

# The recipe that holds every stage: one that is named alone takes its settings from there.
STAGES_RECIPE = "speedrun"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What `labcli run` was asked to plan; without `nproc`, one rank per GPU.

    seed: that of every stage whose own is not among the overrides.
    """

    what: str
    preset: str = "auto"
    overrides: tuple[str, ...] = ()
    only: str | None = None
    until: str | None = None
    nproc: int | None = None
    seed: int | None = None

    @property
    def is_stage(self) -> bool:
        """Whether a single stage was named, not a recipe."""
        return self.what in STAGE_CONFIGS


def recipe_of(what: str, known: Sequence[str]) -> str:
    """Return the recipe, or recipe file, that holds what was named.

    known: the names of the recipes that there are.

    Raises:
        UsageError: it is an experiment, or nothing of that name is known.
    """
    if what in STAGE_CONFIGS:
        return STAGES_RECIPE
    if what in EXPERIMENT_CONFIGS:
        raise UsageError(f"{what} is a command of its own; see: labcli {what} --help")
    is_file = "/" in what or what.endswith(".toml")
    if not is_file and what not in known:
        near = nearest(what, [*known, *STAGE_CONFIGS])
        raise UsageError(f"no recipe or stage is called {what!r}{near}")
    return what


def plan_for(request: PlanRequest, recipe: Mapping[str, Any], hardware: Hardware) -> Plan:
    """Return the plan of what was asked for, from the recipe that holds it.

    Raises:
        UsageError: as core.plan.resolve, or a part of a recipe is named beside a single stage.
    """
    only = request.only
    if request.is_stage:
        if request.only or request.until:
            raise UsageError(f"{request.what} is one stage; --only and --until are for recipes")
        only = request.what
    return resolve(
        recipe,
        preset=request.preset,
        overrides=(*_seeds(request, recipe), *request.overrides),
        hardware=hardware,
        only=only,
        until=request.until,
        nproc=request.nproc,
    )


def _seeds(request: PlanRequest, recipe: Mapping[str, Any]) -> list[str]:
    if request.seed is None:
        return []
    return [f"{stage}.seed={request.seed}" for stage in recipe["stages"]]

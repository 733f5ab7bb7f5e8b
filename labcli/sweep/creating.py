"""From an expanded sweep to runs in the queue."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.planning.request import PlanRequest
from labcli.sweep.planning import Planned
from runs.ids import new_slug, new_ulid
from runs.lineage.inputs import given_inputs
from runs.paths import LabHome
from runs.scheduling.queue_runner import ensure_runner
from runs.scheduling.reuse import finished_work, work_hash
from runs.scheduling.sweep import Sweep, Variant, sweep_dirs, write_sweep
from runs.scheduling.sweeping import begin
from runs.supervision.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSweep:
    """What a new sweep is called and how it runs."""

    request: PlanRequest
    from_ref: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    priority: int = 0
    policy: Policy = field(default_factory=Policy)
    budget: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)


def with_finished(
    home: LabHome, planned: Sequence[Planned], inputs: Mapping[str, Mapping[str, str]]
) -> list[Planned]:
    """Return the variants, each with the finished run that did the same, where there is one."""
    works = [work_hash(item.body, inputs) for item in planned]
    done = finished_work(home, frozenset(works))
    return [replace(item, same=done.get(work)) for item, work in zip(planned, works, strict=True)]


def create_sweep(
    home: LabHome,
    new: NewSweep,
    planned: Sequence[Planned],
    *,
    clock: Callable[[], float] = time.time,
) -> Sweep:
    """Write the sweep, make and queue its runs, and start the queue; return the sweep."""
    created_s = clock()
    inputs, parents = given_inputs(home, planned[0].body, new.from_ref)
    taken = frozenset(path.name[27:] for path in sweep_dirs(home))
    slug = new_slug(f"sweep-{new.request.what}".replace("/", "-"), taken, random.Random())
    variants = tuple(
        Variant(
            index=index,
            # One millisecond apart, so that the runs sort as the variants do.
            run_id=new_ulid(clock=lambda moment=created_s + index / 1000: moment),  # type: ignore[misc]
            changed=item.changed,
            plan=item.body,
            same_as=item.same.run_id if item.same else None,
        )
        for index, item in enumerate(planned, 1)
    )
    sweep = Sweep(
        sweep_id=new_ulid(clock=lambda: created_s, entropy=os.urandom),
        slug=slug,
        name=new.name or slug,
        what=new.request.what,
        preset=planned[0].plan.preset,
        created_s=created_s,
        argv=tuple(sys.argv),
        variants=variants,
        priority=new.priority,
        tags=new.tags,
        inputs=inputs,
        parents=tuple(parents),
        budget=new.budget,
        source=new.source,
        policy=new.policy,
    )
    write_sweep(home, sweep)
    begin(home, sweep)
    ensure_runner(home)
    return sweep

"""A new run: its directory appears whole, with run.json in it, or not at all."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runs import environment
from runs.errors import LabError
from runs.files import sync_dir, write_synced
from runs.ids import new_slug, new_ulid
from runs.labels import check_name
from runs.paths import LabHome, RunPaths
from runs.record import DEFAULT_WORKER, RunRecord, plan_hash, write_record
from runs.supervision.policy import Policy


def create_run(
    home: LabHome,
    *,
    plan: Mapping[str, Any],
    recipe: str,
    preset: str,
    name: str | None = None,
    tags: Sequence[str] = (),
    argv: Sequence[str] = (),
    nproc: int = 1,
    parents: Sequence[str] = (),
    inputs: Mapping[str, Mapping[str, str]] | None = None,
    files: Mapping[str, bytes] | None = None,
    worker: Sequence[str] = DEFAULT_WORKER,
    policy: Policy | None = None,
    git: environment.GitState | None = None,
    host: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    sweep: Mapping[str, Any] | None = None,
    source: Mapping[str, Any] | None = None,
    budget: Mapping[str, Any] | None = None,
    clock: Callable[[], float] = time.time,
    entropy: Callable[[int], bytes] = os.urandom,
) -> RunPaths:
    """Create the directory of a run that nobody has started yet, and return its paths.

    The run is named after its slug when `name` is None. `inputs` holds what the plan takes
    from other runs: input name -> {"path", "sha256", "from"}. `files` are put into the run
    directory: path in it -> content. `git` and `host` take the place of our own source and of
    this machine where a run is not of their making; `run_id` is one that was announced before.
    """
    if name is not None:
        check_name(name)
    run_id = run_id or new_ulid(clock=clock, entropy=entropy)
    slug = new_slug(_slug_stem(recipe), _taken_slugs(home), random.Random(entropy(8)))
    git = git or environment.capture_git(environment.source_dir())
    record = RunRecord(
        run_id=run_id,
        slug=slug,
        name=name or slug,
        recipe=recipe,
        preset=preset,
        plan=plan,
        plan_hash=plan_hash(plan),
        tags=tuple(tags),
        created_s=clock(),
        git=git.as_record("git.diff" if git.diff else None),
        packages=environment.package_versions() if host is None else {},
        host=environment.host_facts() if host is None else host,
        argv=tuple(argv),
        parents=tuple(parents),
        inputs=dict(inputs or {}),
        nproc=nproc,
        worker=tuple(worker),
        policy=policy or Policy(),
        sweep=sweep or {},
        source=source or {},
        budget=budget or {},
    )
    return _publish(home, record, {**(files or {}), **({"git.diff": git.diff} if git.diff else {})})


def _publish(home: LabHome, record: RunRecord, files: Mapping[str, bytes]) -> RunPaths:
    final = home.runs_dir / f"{record.run_id}-{record.slug}"
    aside = home.runs_dir / f".{record.run_id}.tmp"
    try:
        aside.mkdir(parents=True)
        for name, content in files.items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            write_synced(aside / name, content)
        write_record(aside, record)
        aside.rename(final)
        sync_dir(home.runs_dir)
    except OSError as error:
        raise LabError(
            f"cannot create a run in {home.runs_dir}: {error.strerror}; choose another --home"
        ) from None
    finally:
        # After the rename there is nothing left to remove.
        shutil.rmtree(aside, ignore_errors=True)
    return RunPaths(final)


def _slug_stem(recipe: str) -> str:
    kept = "".join(char if char.isalnum() and char.isascii() else "-" for char in recipe.lower())
    return kept.strip("-") or "run"


def _taken_slugs(home: LabHome) -> frozenset[str]:
    # Those of deleted runs too: one that is brought back still has a name of its own.
    places = (home.runs_dir, LabHome(home.trash_dir).runs_dir)
    return frozenset(
        path.name[27:] for place in places if place.is_dir() for path in place.iterdir()
    )

"""run.json: what was asked for and where it ran. Written once when the run is created."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from runs.errors import Corrupt, NotFound
from runs.files import read_json, write_json
from runs.paths import RunPaths
from runs.supervision.policy import Policy, policy_from

VERSION = 1
DEFAULT_WORKER = ("-m", "labcli.worker")
# Runs of one stage of the same name, over checkpoints that other runs made.
EXPERIMENTS = frozenset({"selfchat", "compare"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """One stage of a plan: its full settings, and which stage makes each of its inputs."""

    stage: str
    config: Mapping[str, Any]
    config_hash: str
    inputs: Mapping[str, str]
    total: float | None
    nproc: int | None


# No slots: they leave no room for what is made once.
@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The content of run.json."""

    run_id: str
    slug: str
    name: str
    recipe: str
    preset: str
    plan: Mapping[str, Any]
    plan_hash: str
    tags: tuple[str, ...]
    created_s: float
    git: Mapping[str, Any]
    packages: Mapping[str, str]
    host: Mapping[str, Any]
    argv: tuple[str, ...]
    parents: tuple[str, ...]
    inputs: Mapping[str, Mapping[str, str]]
    nproc: int
    worker: tuple[str, ...]
    policy: Policy = field(default_factory=Policy)
    # Empty where there is none: {"id", "index"}, what the code is, and the limits on its cost.
    sweep: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def stages(self) -> tuple[StagePlan, ...]:
        """The stages of the plan, in the order in which they run."""
        return tuple(_stage_plan(entry) for entry in self.plan["stages"])

    @property
    def is_experiment(self) -> bool:
        """Whether the run measures models that others trained, and makes none."""
        return all(entry.stage in EXPERIMENTS for entry in self.stages)

    def stage(self, name: str) -> StagePlan:
        """Return one stage of the plan, or raise NotFound."""
        for entry in self.stages:
            if entry.stage == name:
                return entry
        names = ", ".join(entry.stage for entry in self.stages)
        raise NotFound(f"run {self.slug} has no stage {name!r}; its stages are {names}")


def plan_hash(plan: Mapping[str, Any]) -> str:
    """Return a hash of a plan: equal plans, equal hash, whatever their key order."""
    text = json.dumps(plan, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_record(run_dir: Path, record: RunRecord) -> None:
    """Write run.json; refuse to replace one that is there."""
    path = RunPaths(run_dir).run_json
    if path.exists():
        raise Corrupt(f"{path} exists already; a run is described once")
    write_json(path, {"v": VERSION, **asdict(record)})


def load_record(run_dir: Path) -> RunRecord:
    """Return the content of run.json; NotFound without the file, Corrupt when it is not one."""
    path = RunPaths(run_dir).run_json
    try:
        body = read_json(path)
    except OSError:
        raise NotFound(f"{run_dir} is not a run directory: it has no readable run.json") from None
    if body.get("v") != VERSION:
        raise Corrupt(f"{path} has version {body.get('v')!r}; this labcli reads {VERSION}")
    try:
        record = _parse(body)
        if not record.stages:
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Corrupt(f"{path} lacks a field or holds one of the wrong type") from None
    return record


def _parse(body: Mapping[str, Any]) -> RunRecord:
    for key in ("run_id", "slug", "name", "recipe", "preset", "plan_hash"):
        if not isinstance(body[key], str):
            raise TypeError(key)
    return RunRecord(
        run_id=body["run_id"],
        slug=body["slug"],
        name=body["name"],
        recipe=body["recipe"],
        preset=body["preset"],
        plan=dict(body["plan"]),
        plan_hash=body["plan_hash"],
        tags=tuple(map(str, body.get("tags", ()))),
        created_s=float(body["created_s"]),
        git=dict(body.get("git", {})),
        packages=dict(body.get("packages", {})),
        host=dict(body.get("host", {})),
        argv=tuple(map(str, body.get("argv", ()))),
        parents=tuple(map(str, body.get("parents", ()))),
        inputs={str(name): dict(value) for name, value in body.get("inputs", {}).items()},
        nproc=int(body.get("nproc", 1)),
        worker=tuple(map(str, body.get("worker", DEFAULT_WORKER))),
        policy=policy_from(body.get("policy", {})),
        sweep=dict(body.get("sweep", {})),
        source=dict(body.get("source", {})),
        budget=dict(body.get("budget", {})),
    )


def _stage_plan(entry: Mapping[str, Any]) -> StagePlan:
    total, nproc = entry.get("total"), entry.get("nproc")
    return StagePlan(
        stage=str(entry["stage"]),
        config=dict(entry.get("config", {})),
        config_hash=str(entry.get("config_hash", "")),
        inputs={str(name): str(stage) for name, stage in dict(entry.get("inputs", {})).items()},
        total=None if total is None else float(total),
        nproc=None if nproc is None else int(nproc),
    )

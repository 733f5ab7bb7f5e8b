"""What the report is told of its run: summary.json, checked and typed. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs.errors import Corrupt
from runs.events import number

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A sample: what the model was given and what it wrote."""

    prompt: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSummary:
    """One stage; `metrics` holds the last value of every curve, `facts` what it noted."""

    stage: str
    state: str
    attempt: int
    step: int | None
    started_s: float | None
    ended_s: float | None
    val_bpb: float | None
    val_sha256: str | None
    results: Mapping[str, Mapping[str, float]]
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    samples: Sequence[Told]
    facts: Mapping[str, Any]
    alerts: Sequence[str]

    @property
    def seconds(self) -> float | None:
        """Wall-clock time from the first attempt's start to the last one's end."""
        if self.started_s is None or self.ended_s is None:
            return None
        return max(0.0, self.ended_s - self.started_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A whole run, as far as it has come when the report is written."""

    run_id: str
    slug: str
    name: str
    recipe: str
    preset: str
    plan: Mapping[str, Any]
    host: Mapping[str, Any]
    packages: Mapping[str, str]
    git: Mapping[str, Any]
    nproc: int
    stages: tuple[StageSummary, ...]

    def stage(self, name: str) -> StageSummary | None:
        """Return a stage by name, or None when the plan has no such stage."""
        return next((stage for stage in self.stages if stage.stage == name), None)


def read_summary(path: Path) -> RunSummary:
    """Return the summary in a file, or raise Corrupt."""
    try:
        body = json.loads(path.read_bytes())
        if body["v"] != VERSION:
            raise ValueError(f"version {body['v']!r} is not {VERSION}")
        return parse_summary(body)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(
            f"{path} is not a readable run summary ({error}); remove it and resume the run"
        ) from None


def parse_summary(body: Mapping[str, Any]) -> RunSummary:
    """Return the summary in a decoded JSON object; a missing or foreign field is an error."""
    return RunSummary(
        run_id=str(body["run_id"]),
        slug=str(body["slug"]),
        name=str(body["name"]),
        recipe=str(body["recipe"]),
        preset=str(body["preset"]),
        plan=dict(body["plan"]),
        host=dict(body["host"]),
        packages=dict(body["packages"]),
        git=dict(body["git"]),
        nproc=int(body["nproc"]),
        stages=tuple(_stage(name, entry) for name, entry in body["stages"].items()),
    )


def _stage(name: str, entry: Mapping[str, Any]) -> StageSummary:
    facts: dict[str, Any] = {}
    for note in entry.get("notes") or ():
        facts.update(note.get("data") or {})
    return StageSummary(
        stage=name,
        state=str(entry["state"]),
        attempt=int(entry["attempt"]),
        step=entry["step"],
        started_s=number(entry["started_s"]),
        ended_s=number(entry["ended_s"]),
        val_bpb=number(entry["val_bpb"]),
        val_sha256=entry["val_sha256"],
        results={task: _numbers(values) for task, values in (entry["results"] or {}).items()},
        config=dict(entry["config"]),
        metrics=_numbers({key: curve["last"] for key, curve in entry["metrics"].items()}),
        samples=[
            Told(prompt=str(sample["prompt"]), text=str(sample["text"]))
            for sample in entry["samples"]
        ],
        facts=facts,
        alerts=[str(alert.get("message", "")) for alert in entry["alerts"]],
    )


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    parsed = {key: number(value) for key, value in values.items()}
    return {key: value for key, value in parsed.items() if value is not None}

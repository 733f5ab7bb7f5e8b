"""A sweep: a set of runs that differ in a few settings, described once in <sweep>/sweep.json.

The file holds every variant with its plan and the id that its run has or will have, so that a
sweep can be completed after any interruption without planning again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runs.errors import Corrupt, NotFound, UsageError, nearest
from runs.files import read_json, write_json
from runs.ids import is_ulid
from runs.paths import LabHome
from runs.supervision.policy import Policy, policy_from

VERSION = 1
FILE = "sweep.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One run of a sweep: `changed` holds setting -> value, as a person would type it.

    same_as: the finished run that did this before the sweep; then there is no run of its own.
    """

    index: int
    run_id: str
    changed: Mapping[str, str]
    plan: Mapping[str, Any]
    same_as: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The content of sweep.json: what was asked for, and every variant."""

    sweep_id: str
    slug: str
    name: str
    what: str
    preset: str
    created_s: float
    argv: tuple[str, ...]
    variants: tuple[Variant, ...]
    priority: int = 0
    tags: tuple[str, ...] = ()
    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    budget: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)

    @property
    def keys(self) -> tuple[str, ...]:
        """The settings in which the variants differ, in the order in which they were given."""
        return tuple(dict.fromkeys(key for variant in self.variants for key in variant.changed))


def sweep_dirs(home: LabHome) -> list[Path]:
    """Return the sweep directories of a lab home, newest first."""
    if not home.sweeps_dir.is_dir():
        return []
    found = [path for path in home.sweeps_dir.iterdir() if is_ulid(path.name[:26])]
    return sorted((path for path in found if (path / FILE).is_file()), reverse=True)


def sweep_dir(home: LabHome, sweep: Sweep) -> Path:
    """Return the directory of a sweep."""
    return home.sweeps_dir / f"{sweep.sweep_id}-{sweep.slug}"


def write_sweep(home: LabHome, sweep: Sweep) -> None:
    """Write sweep.json, once."""
    write_json(sweep_dir(home, sweep) / FILE, {"v": VERSION, **asdict(sweep)})


def load_sweep(directory: Path) -> Sweep:
    """Return the sweep in a directory; NotFound without its file, Corrupt when it is not one."""
    path = directory / FILE
    try:
        body = read_json(path)
    except OSError:
        raise NotFound(f"{directory} is not a sweep: it has no readable {FILE}") from None
    if body.get("v") != VERSION:
        raise Corrupt(f"{path} has version {body.get('v')!r}; this labcli reads {VERSION}")
    try:
        return _parse(body)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Corrupt(f"{path} lacks a field or holds one of the wrong type") from None


def resolve_sweep(home: LabHome, text: str) -> Sweep:
    """Return the sweep that `text` names: an id or the start of one, a slug, a name, or "last".

    Raises:
        NotFound: no sweep matches. UsageError: several do.
    """
    directories = sweep_dirs(home)
    if not directories:
        raise NotFound(f"there are no sweeps in {home.sweeps_dir}; see: labcli sweep create --help")
    if text == "last":
        return load_sweep(directories[0])
    sweeps = [load_sweep(path) for path in directories]
    exact = [sweep for sweep in sweeps if text in (sweep.slug, sweep.sweep_id, sweep.name)]
    found = exact or [sweep for sweep in sweeps if sweep.sweep_id.startswith(text.upper() or "-")]
    if not found:
        known = {name for sweep in sweeps for name in (sweep.slug, sweep.name)}
        raise NotFound(f"no sweep matches {text!r}{nearest(text, known)}")
    if len(found) > 1:
        names = ", ".join(sweep.slug for sweep in found[:5])
        raise UsageError(f"{text!r} matches {len(found)} sweeps: {names}; name one of them")
    return found[0]


def _parse(body: Mapping[str, Any]) -> Sweep:
    variants = tuple(
        Variant(
            index=int(entry["index"]),
            run_id=str(entry["run_id"]),
            changed={str(key): str(value) for key, value in entry["changed"].items()},
            plan=dict(entry["plan"]),
            same_as=entry.get("same_as"),
        )
        for entry in body["variants"]
    )
    return Sweep(
        sweep_id=str(body["sweep_id"]),
        slug=str(body["slug"]),
        name=str(body["name"]),
        what=str(body["what"]),
        preset=str(body["preset"]),
        created_s=float(body["created_s"]),
        argv=tuple(map(str, body.get("argv", ()))),
        variants=variants,
        priority=int(body.get("priority", 0)),
        tags=tuple(map(str, body.get("tags", ()))),
        inputs={str(name): dict(value) for name, value in body.get("inputs", {}).items()},
        parents=tuple(map(str, body.get("parents", ()))),
        budget=dict(body.get("budget", {})),
        source=dict(body.get("source", {})),
        policy=policy_from(body.get("policy", {})),
    )

"""What people add after the fact: tags, notes and a new name of a run, votes on answers.

Tags, notes and names lie in the annotations of their run. Votes are on answers that belong to no
run, so that they lie with those answers among the generations of the lab home.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from runs.errors import LabError, UsageError
from runs.log import LogRecord, append_record, read_log
from runs.paths import LabHome, RunPaths

Choice = Literal["first", "second", "tie"]
_CHOICES: Mapping[str, Choice] = {"first": "first", "second": "second", "tie": "tie"}

# They part a reference, RUN:STAGE@STEP, or a path.
_NAME_TRAPS = frozenset(":@/\\\n\t")


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The name, tags and notes of a run as they stand now."""

    name: str
    tags: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VotedAnswer:
    """One of the two answers of a vote; run_id is "" for a checkpoint that lies in no run."""

    model: str
    run_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """What a person decided about two answers, which stand in the order they were shown in.

    t: when, in Unix seconds; set when it is read back. settings: how both were drawn.
    """

    prompt: str
    first: VotedAnswer
    second: VotedAnswer
    choice: Choice
    settings: Mapping[str, Any] = field(default_factory=dict)
    t: float | None = None


def fold_annotations(records: Sequence[LogRecord], *, name: str, tags: tuple[str, ...]) -> Labels:
    """Return the labels that a run has after every annotation, starting from its launch."""
    labels = Labels(name=name, tags=tuple(dict.fromkeys(tags)))
    for record in records:
        text = record.text("text")
        if text is None:
            continue
        if record.kind == "tag":
            labels = replace(labels, tags=tuple(dict.fromkeys((*labels.tags, text))))
        elif record.kind == "untag":
            labels = replace(labels, tags=tuple(tag for tag in labels.tags if tag != text))
        elif record.kind == "note":
            labels = replace(labels, notes=(*labels.notes, text))
        elif record.kind == "rename":
            labels = replace(labels, name=text)
    return labels


def check_name(name: str) -> None:
    """Raise UsageError for what cannot name a run."""
    if not name.strip() or _NAME_TRAPS & set(name):
        raise UsageError(f"{name!r} cannot name a run: it is empty or holds one of : @ / \\")


def check_tag(tag: str) -> None:
    """Raise UsageError for what cannot be a tag: listings show tags with spaces between them."""
    if not tag or any(char.isspace() or not char.isprintable() for char in tag):
        raise UsageError(f"{tag!r} cannot be a tag: it is empty or holds a space; join with -")


def check_note(text: str) -> None:
    """Raise UsageError for a note that says nothing."""
    if not text.strip():
        raise UsageError("a note needs text; type it after the run")


def add_tag(run_dir: Path, tag: str) -> None:
    """Tag a run."""
    check_tag(tag)
    _append(run_dir, "tag", {"text": tag})


def remove_tag(run_dir: Path, tag: str) -> None:
    """Take a tag off a run."""
    _append(run_dir, "untag", {"text": tag})


def add_note(run_dir: Path, text: str) -> None:
    """Add a note to a run."""
    check_note(text)
    _append(run_dir, "note", {"text": text})


def rename(run_dir: Path, name: str) -> None:
    """Give a run another name; its slug stays."""
    check_name(name)
    _append(run_dir, "rename", {"text": name})


def add_vote(home: LabHome, ballot: Ballot) -> None:
    """Put a vote on answers that belong to no run on disk, with the answers themselves."""
    body = {name: value for name, value in asdict(ballot).items() if name != "t"}
    _append_to(_generation_annotations(home), "vote", body)


def read_votes(home: LabHome) -> list[Ballot]:
    """Return every vote of a lab home, oldest first."""
    records = read_log(_generation_annotations(home))
    found = (_ballot(record) for record in records if record.kind == "vote")
    return [ballot for ballot in found if ballot is not None]


def _ballot(record: LogRecord) -> Ballot | None:
    """Return the vote that a record holds, or None where it holds none."""
    prompt, choice = record.text("prompt"), _CHOICES.get(record.text("choice") or "")
    first, second = _answer(record.data.get("first")), _answer(record.data.get("second"))
    if prompt is None or choice is None or first is None or second is None:
        return None
    settings = record.data.get("settings")
    return Ballot(
        prompt=prompt,
        first=first,
        second=second,
        choice=choice,
        settings=settings if isinstance(settings, Mapping) else {},
        t=record.t,
    )


def _answer(raw: Any) -> VotedAnswer | None:
    if not isinstance(raw, Mapping):
        return None
    parts = [raw.get(name) for name in ("model", "run_id", "text")]
    if not all(isinstance(part, str) for part in parts):
        return None
    model, run_id, text = map(str, parts)
    return VotedAnswer(model=model, run_id=run_id, text=text)


def _generation_annotations(home: LabHome) -> Path:
    return home.generations_dir / "annotations.jsonl"


def _append(run_dir: Path, kind: str, data: dict[str, Any]) -> None:
    _append_to(RunPaths(run_dir).annotations, kind, data)


def _append_to(path: Path, kind: str, data: dict[str, Any]) -> None:
    if not append_record(path, kind, data, sync=True):
        raise LabError(f"cannot write {path}; check the disk and the permissions")

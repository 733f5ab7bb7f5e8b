"""What differs between runs: settings, inputs, code and environment; only what is not the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runs.analysis.patches import FileChange, changes_between, changes_in, unified
from runs.environment import commit_diff, source_dir
from runs.paths import RunPaths
from runs.views.card import RunCard
from runs.views.facts import load_facts

# What stages make and other stages take, in the order in which it is made.
DATA_ARTIFACTS = ("corpus", "conversations", "tokenizer")
_HOST_KEYS = ("hostname", "platform", "python", "cpu", "num_cpus", "memory_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A key with its value in each run; `is_known` says where there is one at all."""

    key: str
    values: tuple[Any, ...]
    is_known: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeChange:
    """How the code of one run differs from that of the first.

    problem: why the comparison is not whole, in one line; None when it is.
    """

    commits: tuple[str | None, str | None]
    is_dirty: tuple[bool, bool]
    files: tuple[FileChange, ...]
    problem: str | None = None
    text: str = field(default="", repr=False)

    @property
    def is_same(self) -> bool:
        """Whether nothing is known to differ and everything was compared."""
        return not self.files and self.problem is None

    @property
    def num_hunks(self) -> int:
        """In how many places the files differ."""
        return sum(change.num_hunks for change in self.files)


CommitDiff = Callable[[str, str], bytes | None]


def config_changes(cards: Sequence[RunCard]) -> list[Changed]:
    """Return the settings in which runs differ, those of one stage together."""
    own = [
        {key: value for key, value in card.settings.items() if not key.startswith("plan.")}
        for card in cards
    ]
    # The shape of the model follows from the settings: it would be told twice.
    return changed([{k: v for k, v in one.items() if not k.startswith("model.")} for one in own])


def data_changes(cards: Sequence[RunCard]) -> list[Changed]:
    """Return the inputs in which runs differ, by content hash: corpus, tokenizer and so on.

    What only some of the runs need, such as conversations, differs where two of them need it.
    """
    found = changed([data_hashes(card) for card in cards])
    return [change for change in found if len(set(change.values) - {None}) > 1]


def environment_changes(cards: Sequence[RunCard]) -> list[Changed]:
    """Return the packages and the parts of the machine in which runs differ."""
    return changed([environment(card) for card in cards])


def changed(sides: Sequence[Mapping[str, Any]]) -> list[Changed]:
    """Return the keys whose values are not the same on every side, in order of appearance."""
    keys = dict.fromkeys(key for side in sides for key in side)
    found = []
    for key in keys:
        is_known = tuple(key in side for side in sides)
        values = tuple(side.get(key) for side in sides)
        if not all(is_known) or any(value != values[0] for value in values):
            found.append(Changed(key=key, values=values, is_known=is_known))
    return found


def data_hashes(card: RunCard) -> dict[str, str]:
    """Return the content hash of everything that a run learned from or was measured on."""
    if card.record is None:
        return {}
    facts = load_facts(card.view.path)
    hashes = {}
    for name in DATA_ARTIFACTS:
        made = next(
            (found.artifacts[name] for found in facts.values() if name in found.artifacts), {}
        )
        mark = made.get("sha256") or card.record.inputs.get(name, {}).get("sha256")
        if mark:
            hashes[name] = str(mark)
    if card.view.val_sha256:
        hashes["validation text"] = card.view.val_sha256
    checkpoint = card.record.inputs.get("checkpoint", {}).get("sha256")
    return {**hashes, "checkpoint": checkpoint} if checkpoint else hashes


def environment(card: RunCard) -> dict[str, Any]:
    """Return the packages and the machine of a run by name."""
    if card.record is None:
        return {}
    host = card.record.host
    known: dict[str, Any] = {name: host[name] for name in _HOST_KEYS if name in host}
    gpus = [str(gpu.get("name")) for gpu in host.get("gpus") or () if isinstance(gpu, dict)]
    known["gpus"] = ", ".join(gpus) or "none"
    known["device"] = card.settings.get("plan.device")
    known["nproc"] = card.record.nproc
    return {**known, **{f"package {k}": v for k, v in card.record.packages.items()}}


def code_change(
    first: RunCard, other: RunCard, between_commits: CommitDiff | None = None
) -> CodeChange:
    """Return how the code of two runs differs: their commits, and what each held beyond its own."""
    ask = between_commits or (lambda old, new: commit_diff(source_dir(), old, new))
    commits = (_sha(first), _sha(other))
    is_dirty = (_is_dirty(first), _is_dirty(other))
    patches = (_stored(first), _stored(other))
    names = (f"{first.view.slug}/git.diff", f"{other.view.slug}/git.diff")
    problem, files, text = None, changes_between(*patches), unified(*patches, names)
    old, new = commits
    if old is None or new is None:
        unknown = " and ".join(
            card.view.slug for card, sha in ((first, old), (other, new)) if sha is None
        )
        problem = f"no commit is recorded for {unknown}"
    elif old != new:
        patch = ask(old, new)
        if patch is None:
            problem = f"this checkout does not have both {old[:10]} and {new[:10]}"
        else:
            between = patch.decode(errors="replace")
            known = {change.path for change in files}
            files = [*(item for item in changes_in(between) if item.path not in known), *files]
            text = "\n".join(part for part in (between.rstrip(), text) if part)
    return CodeChange(
        commits=commits,
        is_dirty=is_dirty,
        files=tuple(sorted(files, key=lambda change: change.path)),
        problem=problem or _unseen(first, other),
        text=text,
    )


def _unseen(*cards: RunCard) -> str | None:
    for card in cards:
        stored = _stored(card)
        if _is_dirty(card) and not stored:
            return f"{card.view.slug} held new files that git did not track; they were not kept"
        if "\n[cut: the diff is longer" in stored[-100:]:
            return f"the stored diff of {card.view.slug} was cut at 1 MB"
    return None


def _sha(card: RunCard) -> str | None:
    sha = card.record.git.get("sha") if card.record else None
    return str(sha) if sha else None


def _is_dirty(card: RunCard) -> bool:
    return bool(card.record and card.record.git.get("is_dirty"))


def _stored(card: RunCard) -> str:
    if card.record is None or not card.record.git.get("diff_path"):
        return ""
    path: Path = RunPaths(card.view.path).git_diff
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

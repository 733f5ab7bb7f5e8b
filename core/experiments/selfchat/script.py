"""What a self-chat is given besides its settings: who talks, and about what. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from runs.errors import Corrupt, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who talks: two checkpoints, or one with itself; the keys of their inputs, and names.

    stage, step: of the checkpoint, where several of one run are compared; else None.
    """

    key_a: str
    key_b: str
    name_a: str
    name_b: str
    stage: str | None = None
    step: int | None = None

    @property
    def is_alone(self) -> bool:
        """Whether one model plays both sides."""
        return self.key_a == self.key_b


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Every cast talks about every topic."""

    casts: tuple[Cast, ...]
    topics: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.casts or not self.topics:
            raise UsageError("a self-chat needs at least one model and one topic")


def dump_script(script: Script) -> bytes:
    """Return a script as the file that a run keeps."""
    return json.dumps(asdict(script), ensure_ascii=False, indent=1).encode() + b"\n"


def load_script(path: Path) -> Script:
    """Return the script that a run keeps, or raise Corrupt."""
    try:
        body: Mapping[str, list[object]] = json.loads(path.read_bytes())
        casts = tuple(Cast(**cast) for cast in body["casts"])  # type: ignore[arg-type]
        return Script(casts=casts, topics=tuple(map(str, body["topics"])))
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        raise Corrupt(f"{path} is no readable script; start the self-chat again") from None

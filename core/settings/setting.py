"""What the settings of every stage are made of: explained fields, a seed, a check. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from runs.errors import UsageError

Arch = Literal["current", "classic"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


def setting(default: Any, help_text: str) -> Any:
    """Return a dataclass field with a default and the sentence that explains it."""
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, slots=True, kw_only=True)
class StageConfig:
    """What every stage has: a seed, so that a run can be repeated."""

    seed: int = setting(42, "Seed of everything random in the stage.")

    def __post_init__(self) -> None:
        require_not_negative(self, "seed")


def require_positive(config: object, *names: str, unless: str | None = None) -> None:
    """Raise UsageError unless every named field is above zero.

    unless: the word that may stand there in place of a number, "none" being None.
    """
    for name in names:
        value = getattr(config, name)
        if unless is not None and value == (None if unless == "none" else unless):
            continue
        if value <= 0:
            instead = "" if unless is None else f", or {unless}"
            raise UsageError(f"{name} must be above 0{instead}, not {value}")


def require_not_negative(config: object, *names: str) -> None:
    """Raise UsageError where a named field is below zero."""
    for name in names:
        if getattr(config, name) < 0:
            raise UsageError(f"{name} must be 0 or more, not {getattr(config, name)}")


@contextmanager
def naming(stage: str) -> Iterator[None]:
    """Let a UsageError about settings begin with the stage whose settings they are."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{stage}: {error}") from None

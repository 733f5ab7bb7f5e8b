"""What the engine is asked and what it says. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.chat_format import Part
from runs.errors import UsageError

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One prompt to continue, and how; temperature 0 takes the likeliest token each time."""

    prompt_ids: Sequence[int]
    max_new_tokens: int
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.prompt_ids:
            raise UsageError("the prompt is empty; give at least one token, such as bos")
        if self.max_new_tokens < 1:
            raise UsageError(f"max_new_tokens must be above 0, not {self.max_new_tokens}")
        if not 0 <= self.temperature < float("inf"):
            raise UsageError(f"temperature must be 0 or more, not {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"top_k must be above 0, not {self.top_k}; leave it out for no limit")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"top_p must be above 0 and at most 1, not {self.top_p}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One new token of one row; forced ones come from a tool, `finish` is set on the last."""

    row: int
    id: int
    is_forced: bool = False
    finish: Finish | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A whole answer, without the token that ended it."""

    ids: tuple[int, ...]
    is_forced: tuple[bool, ...]
    parts: tuple[Part, ...]
    finish: Finish

    @property
    def text(self) -> str:
        """The answer as a person reads it: without tool calls and their output."""
        return "".join(part.text for part in self.parts if part.type == "text")

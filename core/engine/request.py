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
    """One prompt to continue, and how; temperature 0 takes the likeliest token each time.

    The settings act in this order: repetition_penalty, temperature, top_k, top_p, min_p.

    repetition_penalty: logits of every id that the prompt or the answer already holds are divided
        by it when positive and multiplied when negative (CTRL, arXiv 1909.05858); 1 changes none.
    min_p: keeps the tokens of at least this share of the likeliest one's probability.
    stop: texts that end the answer; neither they nor what follows them is in its pieces. They are
        looked for in the text alone, not in tool calls.
    seed: the draws of a request depend on its own seed and step, not on other requests.
    num_alternatives: None asks for no probes, k >= 0 for a probe with k alternatives per token.
    """

    prompt_ids: Sequence[int]
    max_new_tokens: int
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    num_alternatives: int | None = None

    @property
    def is_greedy(self) -> bool:
        """Whether only the likeliest token of each step matters."""
        return (
            self.temperature == 0 and self.repetition_penalty == 1 and self.num_alternatives is None
        )

    def __post_init__(self) -> None:
        if not self.prompt_ids:
            raise UsageError("the prompt is empty; give at least one token, such as bos")
        if self.max_new_tokens < 1:
            raise UsageError(f"max_new_tokens must be above 0, not {self.max_new_tokens}")
        if not 0 <= self.temperature < float("inf"):
            raise UsageError(f"temperature must be 0 or more, not {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"top_k must be above 0, not {self.top_k}; leave it out for no limit")
        for name, share in (("top_p", self.top_p), ("min_p", self.min_p)):
            if share is not None and not 0 < share <= 1:
                raise UsageError(f"{name} must be above 0 and at most 1, not {share}")
        if not 0 < self.repetition_penalty < float("inf"):
            raise UsageError(f"repetition_penalty must be above 0, not {self.repetition_penalty}")
        if not all(self.stop):
            raise UsageError("a stop string must not be empty")
        if self.num_alternatives is not None and self.num_alternatives < 0:
            raise UsageError(f"num_alternatives must be 0 or more, not {self.num_alternatives}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What the model thought where a token was taken.

    Everything is of the model's own distribution: at temperature 1, before any penalty or
    filter. Entropy and surprisal (of the token taken) are in nats; rank 0 is the likeliest token;
    top holds (id, probability), likeliest first.
    """

    entropy_nats: float
    surprisal_nats: float
    rank: int
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One new token of one row; forced ones come from a tool, `finish` is set on the last.

    row: the ticket of its request in a scheduler, its index in Engine.stream.
    pieces: what this token makes certain of the answer. Text is held back while a character is
        incomplete or a stop string may have begun; tool parts come whole.
    """

    row: int
    id: int
    is_forced: bool = False
    finish: Finish | None = None
    pieces: tuple[Part, ...] = ()
    probe: Probe | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A whole answer, without the token that ended it.

    After a stop string the ids still hold its earlier tokens; the parts hold none of it.
    """

    ids: tuple[int, ...]
    is_forced: tuple[bool, ...]
    parts: tuple[Part, ...]
    finish: Finish
    probes: tuple[Probe | None, ...] = ()

    @property
    def text(self) -> str:
        """The answer as a person reads it: without tool calls and their output."""
        return "".join(part.text for part in self.parts if part.type == "text")

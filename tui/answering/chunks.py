"""What the server streams, as typed chunks; and what it is asked. Pure.

The server is core/serve; with "lab": true every chunk holds one token and what the model thought
when it took it, the last one the figures of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.chat_format import Part, PartType
from tui.answering.sampling import TalkSettings

CHAT_PATH = "/v1/chat/completions"
COMPLETION_PATH = "/v1/completions"
_PART_TYPES: Mapping[str, PartType] = {"python": "python", "python_output": "python_output"}

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A conversation to answer, its last message a question; of a base model, a text to go on."""

    model: str
    is_base: bool
    messages: Sequence[Message]
    settings: TalkSettings

    @property
    def path(self) -> str:
        """Where the server takes it."""
        return COMPLETION_PATH if self.is_base else CHAT_PATH

    def body(self) -> dict[str, Any]:
        """Return the call's JSON."""
        settings = self.settings
        body: dict[str, Any] = {
            "model": self.model,
            "stream": True,
            "lab": True,
            "temperature": settings.temperature,
            # Without a value the server would take its own default.
            "top_k": settings.top_k or 0,
            "repetition_penalty": settings.repetition_penalty,
            "seed": settings.seed,
            "max_tokens": settings.max_new_tokens,
        }
        if settings.top_p is not None:
            body["top_p"] = settings.top_p
        if settings.min_p is not None:
            body["min_p"] = settings.min_p
        if self.is_base:
            return {**body, "prompt": _text_of(self.messages)}
        return {**body, "messages": list(self.messages), "truncation": "auto"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The last chunk of an answer: why it ended and what it took.

    used: positions of prompt and answer, of `max_positions`; the model was trained on `trained`.
    num_dropped: messages at the beginning that did not fit and were not read.
    """

    finish: str
    ttft_s: float | None
    tok_per_sec: float | None
    num_tokens: int
    used: int
    trained: int
    max_positions: int
    num_dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One token of an answer. Text may come with a later token, when a character is whole.

    entropy_nats: of the model's own distribution at temperature 1; None where a tool wrote it.
    """

    text: str = ""
    parts: tuple[Part, ...] = ()
    token_id: int | None = None
    is_forced: bool = False
    entropy_nats: float | None = None
    surprisal_nats: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    ending: Ending | None = None


def chunk_of(body: Mapping[str, Any]) -> Chunk | None:
    """Return what an event of the stream holds; None when that is no choice."""
    choices = body.get("choices")
    if not choices:
        return None
    choice = choices[0]
    text = choice["text"] if "text" in choice else choice["delta"].get("content")
    lab: Mapping[str, Any] = body.get("lab") or {}
    is_forced = bool(lab.get("is_forced"))
    return Chunk(
        text=text or "",
        parts=tuple(
            Part(type=_PART_TYPES[part["type"]], text=part["text"]) for part in lab.get("parts", ())
        ),
        token_id=lab.get("id"),
        is_forced=is_forced,
        entropy_nats=None if is_forced else lab.get("entropy_nats"),
        surprisal_nats=lab.get("surprisal_nats"),
        top=tuple((token_id, p) for token_id, p in lab.get("top", ())),
        ending=_ending(choice["finish_reason"], lab) if choice.get("finish_reason") else None,
    )


def _ending(finish: str, lab: Mapping[str, Any]) -> Ending:
    context = lab["context"]
    return Ending(
        finish=finish,
        ttft_s=lab["ttft_s"],
        tok_per_sec=lab["tok_per_sec"],
        num_tokens=lab["tokens"],
        used=context["used"],
        trained=context["trained"],
        max_positions=context["max"],
        num_dropped=context["dropped_messages"],
    )


def _text_of(messages: Sequence[Message]) -> str:
    """Return what a base model goes on from: it knows no turns, so the last text alone."""
    system = [messages[0]] if messages[0]["role"] == "system" else []
    return "\n\n".join(str(message["content"]) for message in [*system, messages[-1]])

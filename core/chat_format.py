"""Conversations as tokens: checks, rendering with the loss mask, streaming text. Torch-free.

A message is {"role": "user" | "assistant" | "system", "content": text or a list of parts}, and a
part is {"type": "text" | "python" | "python_output", "text": ...}. Every part is encoded on its
own, so token borders fall on part borders, and the markers between them are special tokens.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from core.tokenizer import Tokenizer
from runs.errors import UsageError, nearest

Role = Literal["user", "assistant"]
PartType = Literal["text", "python", "python_output"]
_ROLES = ("user", "assistant", "system")
_PART_TYPES: tuple[str, ...] = get_args(PartType)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of a message: text, code for the tool, or what the tool printed."""

    type: PartType
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn."""

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Neighbouring ids with one loss mask, and the turn, its speaker and the part they render.

    The opening id belongs to no turn, and the markers around a turn to no part of it.
    """

    ids: Sequence[int]
    mask: Literal[0, 1]
    message: int | None = None
    role: Role | None = None
    part: PartType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """Token ids with the loss mask: 1 where the model is to learn the token, else 0."""

    ids: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)

    def extend(self, ids: Sequence[int], mask: Literal[0, 1]) -> None:
        """Append ids that share one mask value."""
        self.ids.extend(ids)
        self.mask.extend([mask] * len(ids))


def parse_messages(raw: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    """Return the turns, user first and alternating; a system text is put before the first user's.

    Raises:
        UsageError: a bad role, content or order, named by the position of the message.
    """
    if not raw:
        raise UsageError("a conversation needs at least one message")
    roles = [_role(message, index) for index, message in enumerate(raw)]
    contents = [_parts(message, index) for index, message in enumerate(raw)]
    prefix = ""
    first = 0
    if roles[0] == "system":
        prefix = _plain_text(contents[0], 0) + "\n\n"
        first = 1
    if first == len(raw):
        raise UsageError("a system message must be followed by a user message")
    messages = []
    for index in range(first, len(raw)):
        expected: Role = "assistant" if (index - first) % 2 else "user"
        if roles[index] != expected:
            raise UsageError(
                f"message {index} is from {roles[index]!r} where {expected!r} must speak; "
                "user and assistant take turns, user first, system only before them"
            )
        parts = contents[index]
        if expected == "user":
            lead = prefix if index == first else ""
            parts = (Part(type="text", text=lead + _plain_text(parts, index)),)
        messages.append(Message(role=expected, parts=parts))
    return tuple(messages)


def render(
    tokenizer: Tokenizer,
    messages: Sequence[Mapping[str, Any]],
    *,
    max_tokens: int | None = None,
) -> Rendered:
    """Return a conversation as ids and loss mask, cut to `max_tokens` when that is given.

    The mask is 1 on what the assistant says: its text, its tool calls with their markers and
    the marker that ends the turn. It is 0 on user turns, tool output and the opening marker.
    """
    rendered = _render(tokenizer, parse_messages(messages))
    if max_tokens is None:
        return rendered
    return Rendered(ids=rendered.ids[:max_tokens], mask=rendered.mask[:max_tokens])


def render_for_completion(tokenizer: Tokenizer, messages: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the ids of a conversation that ends with the user, up to assistant_start."""
    turns = parse_messages(messages)
    if turns[-1].role != "user":
        raise UsageError("the last message must be the user's for the assistant to answer")
    return [*_render(tokenizer, turns).ids, tokenizer.special("assistant_start")]


def prompt_ids(tokenizer: Tokenizer, text: str, *, is_base: bool) -> list[int]:
    """Return a text as a base model continues it, or as a chat model is asked it."""
    if is_base:
        return [tokenizer.bos, *tokenizer.encode(text)]
    return render_for_completion(tokenizer, [{"role": "user", "content": text}])


class Utf8Stream:
    """Turns a stream of token bytes into text, holding back characters that are not complete."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, data: bytes) -> str:
        """Return the text that is certain now."""
        return self._decoder.decode(data)

    def flush(self) -> str:
        """Return what was held back, as U+FFFD, and start afresh."""
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return text


def segments(tokenizer: Tokenizer, messages: Sequence[Message]) -> Iterator[Segment]:
    """Yield a conversation piece by piece; end to end, the ids are what `render` returns."""
    special = tokenizer.special
    yield Segment(ids=[tokenizer.bos], mask=0)
    for index, message in enumerate(messages):
        role = message.role
        yield Segment(ids=[special(f"{role}_start")], mask=0, message=index, role=role)
        for part in message.parts:
            ids, mask = _render_part(tokenizer, role, part)
            yield Segment(ids=ids, mask=mask, message=index, role=role, part=part.type)
        end_mask: Literal[0, 1] = 1 if role == "assistant" else 0
        yield Segment(ids=[special(f"{role}_end")], mask=end_mask, message=index, role=role)


def _render(tokenizer: Tokenizer, messages: Sequence[Message]) -> Rendered:
    out = Rendered()
    for segment in segments(tokenizer, messages):
        out.extend(segment.ids, segment.mask)
    return out


def _render_part(
    tokenizer: Tokenizer, role: Role, part: Part
) -> tuple[Sequence[int], Literal[0, 1]]:
    ids = tokenizer.encode(part.text)
    if role == "user":
        return ids, 0
    if part.type == "text":
        return ids, 1
    name: str
    mask: Literal[0, 1]
    name, mask = ("python", 1) if part.type == "python" else ("output", 0)
    return [tokenizer.special(f"{name}_start"), *ids, tokenizer.special(f"{name}_end")], mask


def _role(message: Mapping[str, Any], index: int) -> str:
    role = message.get("role") if isinstance(message, Mapping) else None
    if role not in _ROLES:
        raise UsageError(f"message {index} has role {role!r}{nearest(str(role), _ROLES)}")
    return str(role)


def _parts(message: Mapping[str, Any], index: int) -> tuple[Part, ...]:
    content = message.get("content")
    if isinstance(content, str):
        return (Part(type="text", text=content),)
    if not isinstance(content, Sequence):
        raise UsageError(f"message {index} has content that is neither text nor a list of parts")
    return tuple(_part(raw, index) for raw in content)


def _part(raw: object, index: int) -> Part:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("text"), str):
        raise UsageError(f"message {index} has a part without a text")
    kind = raw.get("type")
    if kind not in _PART_TYPES:
        hint = nearest(str(kind), _PART_TYPES)
        raise UsageError(f"message {index} has a part of type {kind!r}{hint}")
    return Part(type=cast(PartType, kind), text=raw["text"])


def _plain_text(parts: Sequence[Part], index: int) -> str:
    if any(part.type != "text" for part in parts):
        raise UsageError(f"message {index} has a tool part; only the assistant calls tools")
    return "".join(part.text for part in parts)

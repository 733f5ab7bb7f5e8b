"""The shapes of answers: OpenAI's chat and completion objects, and the classic chunks.

A form turns a choice, whole or one piece of it, into what the client reads. Text parts are the
content; tool calls and their output are in the lab's fields alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from core.serve.choice import Choice, Piece, TokenProb


class Form(Protocol):
    """What every shape has; `delta` and `whole` make an entry of "choices"."""

    id_prefix: ClassVar[str]
    whole_object: ClassVar[str]
    chunk_object: ClassVar[str]

    def delta(self, choice: Choice, piece: Piece, finish: str | None) -> dict[str, Any]:
        """Return what a piece adds; `finish` is set in the last chunk of a choice alone."""

    def whole(self, choice: Choice) -> dict[str, Any]:
        """Return a finished choice."""

    def beside(self, piece: Piece) -> dict[str, Any]:
        """Return what a chunk holds beside its "choices"."""

    @property
    def last(self) -> dict[str, Any] | None:
        """A chunk to end a stream with, before [DONE]."""


class PlainForm:
    """A shape whose chunks hold their "choices" alone, and whose streams end with those."""

    def beside(self, piece: Piece) -> dict[str, Any]:
        """Return nothing."""
        return {}

    @property
    def last(self) -> dict[str, Any] | None:
        """Nothing."""
        return None


class ChatForm(PlainForm):
    """chat.completion and chat.completion.chunk."""

    id_prefix: ClassVar[str] = "chatcmpl-"
    whole_object: ClassVar[str] = "chat.completion"
    chunk_object: ClassVar[str] = "chat.completion.chunk"

    def __init__(self, num_top: int | None = None) -> None:
        self._num_top = num_top

    def delta(self, choice: Choice, piece: Piece, finish: str | None) -> dict[str, Any]:
        """Return a chunk's choice; the first of each choice names the role."""
        delta: dict[str, Any] = {}
        if not choice.is_opened:
            choice.is_opened = True
            delta = {"role": "assistant", "content": piece.text}
        elif piece.text or finish is None:
            delta = {"content": piece.text}
        return {
            "index": choice.index,
            "delta": delta,
            "logprobs": self._logprobs(piece.probs),
            "finish_reason": finish,
        }

    def whole(self, choice: Choice) -> dict[str, Any]:
        """Return a finished choice with its message."""
        return {
            "index": choice.index,
            "message": {"role": "assistant", "content": choice.text, "refusal": None},
            "logprobs": self._logprobs([prob for piece in choice.pieces for prob in piece.probs]),
            "finish_reason": choice.finish,
        }

    def _logprobs(self, probs: Sequence[TokenProb]) -> dict[str, Any] | None:
        if self._num_top is None:
            return None
        content = [
            {
                **_entry(prob.data, prob.logprob),
                "top_logprobs": [_entry(data, p) for data, p in prob.top[: self._num_top]],
            }
            for prob in probs
        ]
        return {"content": content, "refusal": None}


class ClassicForm(ChatForm):
    """Chat chunks that also carry `token`, as the first web chats read it; both in every one."""

    def delta(self, choice: Choice, piece: Piece, finish: str | None) -> dict[str, Any]:
        """Return a chunk's choice, whose content is there even when it is empty."""
        made = super().delta(choice, piece, finish)
        made["delta"].setdefault("content", "")
        return made

    def beside(self, piece: Piece) -> dict[str, Any]:
        """Return the text under its older name."""
        return {"token": piece.text}

    @property
    def last(self) -> dict[str, Any] | None:
        """What the first web chats end at."""
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": None}
        return {"done": True, "choices": [choice], "token": ""}


class CompletionForm(PlainForm):
    """text_completion, whole and in chunks."""

    id_prefix: ClassVar[str] = "cmpl-"
    whole_object: ClassVar[str] = "text_completion"
    chunk_object: ClassVar[str] = "text_completion"

    def __init__(self, num_top: int | None = None) -> None:
        self._num_top = num_top

    def delta(self, choice: Choice, piece: Piece, finish: str | None) -> dict[str, Any]:
        """Return a chunk's choice."""
        start = choice.num_chars - len(piece.text)
        return {
            "index": choice.index,
            "text": piece.text,
            "logprobs": self._logprobs(piece.probs, start),
            "finish_reason": finish,
        }

    def whole(self, choice: Choice) -> dict[str, Any]:
        """Return a finished choice."""
        probs = [prob for piece in choice.pieces for prob in piece.probs]
        return {
            "index": choice.index,
            "text": choice.text,
            "logprobs": self._logprobs(probs, 0),
            "finish_reason": choice.finish,
        }

    def _logprobs(self, probs: Sequence[TokenProb], offset: int) -> dict[str, Any] | None:
        if self._num_top is None:
            return None
        offsets = []
        for prob in probs:
            offsets.append(offset)
            offset += len(prob.text)
        return {
            "tokens": [prob.text for prob in probs],
            "token_logprobs": [round(prob.logprob, 6) for prob in probs],
            "top_logprobs": [
                {_text(data): round(p, 6) for data, p in prob.top[: self._num_top]}
                for prob in probs
            ],
            "text_offset": offsets,
        }


def _entry(data: bytes, logprob: float) -> dict[str, Any]:
    return {"token": _text(data), "logprob": round(logprob, 6), "bytes": list(data)}


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")

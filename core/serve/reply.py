"""The HTTP response to a call: one JSON object, or server-sent events as tokens arrive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from core.serve.choice import Choice, Piece, lab_of, merge
from core.serve.errors import ApiError
from core.serve.forms import Form
from core.serve.jobs import Arrival, Generation
from core.serve.metrics import Metrics
from core.serve.models import ModelSpec

DROPPED_HEADER = b"x-labcli-dropped-messages"
DONE = b"data: [DONE]\n\n"
# A client that reads nothing is left alone this long after the time of its call is over.
STUCK_S = 30.0
# json.dumps builds an encoder for every call that asks for anything but its defaults.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_JSON = [(b"content-type", b"application/json")]
_EVENTS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # Asks nginx, and what behaves like it, not to collect the chunks.
    (b"x-accel-buffering", b"no"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What was asked, as far as the shape of the answer goes."""

    id: str
    created_s: int
    model: ModelSpec
    num_dropped: int
    num_prompt_tokens: int
    choices: Sequence[Choice]
    has_lab: bool
    is_stream: bool
    has_usage: bool
    timeout_s: float


class Reply(Response):
    """Answers one call; a client that goes away frees its rows at once."""

    def __init__(self, call: Call, form: Form, generation: Generation, metrics: Metrics) -> None:
        super().__init__()
        self._call = call
        self._form = form
        self._generation = generation
        self._metrics = metrics
        self._is_started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer (starlette calls this)."""
        watcher = asyncio.create_task(self._watch(receive))
        outcome = "cancelled"
        try:
            async with asyncio.timeout(self._call.timeout_s + STUCK_S):
                if self._call.is_stream:
                    await self._send_events(send)
                else:
                    await self._send_whole(send)
            if self._generation.num_open == 0:
                outcome = "completed"
        except ApiError as error:
            outcome = "failed"
            await self._send_error(send, error)
        except TimeoutError:
            # Returning with an open response makes the server close the connection.
            outcome = "failed"
        finally:
            watcher.cancel()
            self._generation.cancel()
            self._metrics.count_request(outcome)

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._generation.cancel()

    async def _send_events(self, send: Send) -> None:
        while arrivals := await self._generation.take():
            await self._start(send, 200, _EVENTS)
            chunks = b"".join(_event(chunk) for chunk in self._chunks(arrivals))
            if chunks:
                await send({"type": "http.response.body", "body": chunks, "more_body": True})
        if not self._generation.is_cancelled:
            ending = [_event(chunk) for chunk in self._ending()]
            await send({"type": "http.response.body", "body": b"".join([*ending, DONE])})

    async def _send_whole(self, send: Send) -> None:
        while arrivals := await self._generation.take():
            for arrival in arrivals:
                choice = self._call.choices[arrival.token.row]
                choice.pieces.append(choice.take(arrival))
        if self._generation.is_cancelled:
            return
        body: dict[str, Any] = {
            **self._head(self._form.whole_object),
            "choices": [self._whole(choice) for choice in self._call.choices],
            "usage": self._usage(),
        }
        if self._call.has_lab:
            body["lab"] = self._summary()
        await self._start(send, 200, _JSON)
        await send({"type": "http.response.body", "body": _dump(body)})

    async def _send_error(self, send: Send, error: ApiError) -> None:
        if not self._is_started:
            headers = [(key.encode(), value.encode()) for key, value in error.headers.items()]
            await self._start(send, error.status, [*_JSON, *headers])
            await send({"type": "http.response.body", "body": error.as_json()})
        elif self._call.is_stream:
            body = b"data: " + error.as_json() + b"\n\n" + DONE
            await send({"type": "http.response.body", "body": body})

    async def _start(self, send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        if not self._is_started:
            self._is_started = True
            if self._call.num_dropped:
                headers = [*headers, (DROPPED_HEADER, b"%d" % self._call.num_dropped)]
            await send({"type": "http.response.start", "status": status, "headers": headers})

    def _chunks(self, arrivals: Sequence[Arrival]) -> Iterator[dict[str, Any]]:
        """Yield a chunk per choice, or with the lab's fields one per token."""
        by_choice: dict[int, list[Piece]] = {}
        for arrival in arrivals:
            choice = self._call.choices[arrival.token.row]
            by_choice.setdefault(choice.index, []).append(choice.take(arrival))
        for index, pieces in by_choice.items():
            choice = self._call.choices[index]
            for piece in pieces if self._call.has_lab else [merge(pieces)]:
                yield from self._chunks_of(choice, piece)

    def _chunks_of(self, choice: Choice, piece: Piece) -> Iterator[dict[str, Any]]:
        has_token_chunk = piece.token is not None if self._call.has_lab else piece.finish is None
        if has_token_chunk and (piece.text or piece.probs or self._call.has_lab):
            chunk = self._chunk(self._form.delta(choice, piece, None), piece)
            yield {**chunk, "lab": lab_of(piece)} if self._call.has_lab else chunk
        if piece.finish is not None:
            rest = _nothing(piece) if has_token_chunk else piece
            chunk = self._chunk(self._form.delta(choice, rest, piece.finish), rest)
            if self._call.has_lab:
                chunk["lab"] = {
                    **lab_of(rest),
                    **choice.summary(),
                    "context": self._context(choice),
                }
            yield chunk

    def _chunk(self, choice: dict[str, Any], piece: Piece) -> dict[str, Any]:
        beside = self._form.beside(piece)
        chunk = {**self._head(self._form.chunk_object), "choices": [choice], **beside}
        return {**chunk, "usage": None} if self._call.has_usage else chunk

    def _ending(self) -> Iterator[dict[str, Any]]:
        if self._call.has_usage:
            head = self._head(self._form.chunk_object)
            chunk = {**head, "choices": [], "usage": self._usage()}
            yield {**chunk, "lab": self._summary()} if self._call.has_lab else chunk
        if self._form.last is not None:
            last = self._form.last
            yield {**last, "lab": self._summary()} if self._call.has_lab else last

    def _whole(self, choice: Choice) -> dict[str, Any]:
        body = self._form.whole(choice)
        if self._call.has_lab:
            tokens = [lab_of(piece) for piece in choice.pieces if piece.token is not None]
            context = {"context": self._context(choice)}
            parts = {"parts": choice.parts(), "probes": tokens}
            body["lab"] = {**choice.summary(), **context, **parts}
        return body

    def _context(self, choice: Choice) -> dict[str, int]:
        """Return the positions that a choice takes, beside what its model was trained on."""
        return {
            "used": choice.num_prompt_tokens + choice.num_tokens,
            "trained": self._call.model.sequence_len,
            "max": self._call.model.max_positions,
            "dropped_messages": self._call.num_dropped,
        }

    def _head(self, kind: str) -> dict[str, Any]:
        call = self._call
        return {"id": call.id, "object": kind, "created": call.created_s, "model": call.model.name}

    def _usage(self) -> dict[str, int]:
        num_new = sum(choice.num_tokens for choice in self._call.choices)
        return {
            "prompt_tokens": self._call.num_prompt_tokens,
            "completion_tokens": num_new,
            "total_tokens": self._call.num_prompt_tokens + num_new,
        }

    def _summary(self) -> dict[str, Any]:
        """Return the figures of the call: its first token, and all its tokens together."""
        parts = [choice.summary() for choice in self._call.choices]
        firsts = [part["ttft_s"] for part in parts if part["ttft_s"] is not None]
        return {
            "ttft_s": min(firsts, default=None),
            "tok_per_sec": round(sum(part["tok_per_sec"] or 0.0 for part in parts), 2),
            "tokens": sum(part["tokens"] for part in parts),
        }


def _nothing(piece: Piece) -> Piece:
    return Piece(
        index=piece.index, text="", tool_parts=(), probs=(), token=None, finish=piece.finish
    )


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + _dump(chunk) + b"\n\n"


def _dump(body: dict[str, Any]) -> bytes:
    return _ENCODER.encode(body).encode("utf-8", "replace")

"""Messages between the server and its workers: JSON behind a length of four bytes. Torch-free.

Server to worker, by "t":
  load {model, checkpoint, tokenizer}     unload {model}       cancel {job}
  submit {job, model, prompt_ids, max_new_tokens | null, ...settings of core.engine.request}
Worker to server:
  ready {device}      loaded {model, max_positions, load_s}      failed {model, error, code}
  refused {job, error}
  tick {tokens: [[job, id, is_forced, finish, pieces, probe], ...]}   one per step of the engine;
       pieces are [type, text], a probe is [entropy_nats, surprisal_nats, rank, [[id, p], ...]]
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from core.chat_format import Part
from core.engine.request import Probe, Token

_LENGTH = struct.Struct(">I")


def pack(message: Mapping[str, Any]) -> bytes:
    """Return one message as bytes."""
    body = json.dumps(message, separators=(",", ":")).encode("ascii")
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Takes bytes as they arrive and gives whole messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Yield every message that is complete now."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield json.loads(body)


def token_row(job: int, token: Token) -> list[Any]:
    """Return a token as a tick carries it."""
    probe = token.probe
    return [
        job,
        token.id,
        token.is_forced,
        token.finish,
        [[piece.type, piece.text] for piece in token.pieces],
        probe and [probe.entropy_nats, probe.surprisal_nats, probe.rank, probe.top],
    ]


def token_of(row: list[Any], index: int) -> Token:
    """Return the token of a tick's row, as the choice `index` of its request."""
    _, token_id, is_forced, finish, pieces, probe = row
    return Token(
        row=index,
        id=token_id,
        is_forced=is_forced,
        finish=finish,
        pieces=tuple(Part(type=kind, text=text) for kind, text in pieces),
        probe=None if probe is None else _probe_of(probe),
    )


def _probe_of(row: list[Any]) -> Probe:
    entropy_nats, surprisal_nats, rank, top = row
    return Probe(
        entropy_nats=entropy_nats,
        surprisal_nats=surprisal_nats,
        rank=rank,
        top=tuple((token_id, p) for token_id, p in top),
    )

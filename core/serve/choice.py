"""One choice of an answer as its tokens arrive: text, tool parts, probabilities, times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.chat_format import Part
from core.engine.request import Finish, Probe, Token
from core.serve.jobs import Arrival
from core.tokenizer import Tokenizer

# JSON has no infinity; this is what OpenAI's servers write in its place.
LOGPROB_OF_NEVER = -9999.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenProb:
    """A token of the text with its probability, and those that could have stood there."""

    text: str
    data: bytes
    logprob: float
    top: tuple[tuple[bytes, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one arrival adds. `token` is absent when it only ended the answer."""

    index: int
    text: str
    tool_parts: tuple[Part, ...]
    probs: tuple[TokenProb, ...]
    token: Token | None
    finish: Finish | None


@dataclass(slots=True, kw_only=True)
class Choice:
    """What is known of one choice so far; times are of the monotonic clock."""

    index: int
    seed: int
    submitted_s: float
    num_prompt_tokens: int
    tokenizer: Tokenizer
    num_alternatives: int | None
    num_tokens: int = 0
    finish: Finish | None = None
    pieces: list[Piece] = field(default_factory=list)
    num_chars: int = 0
    is_opened: bool = False
    _first_s: float | None = None
    _last_s: float = 0.0
    _is_text: bool = True
    _pending: list[TokenProb] = field(default_factory=list)

    def take(self, arrival: Arrival) -> Piece:
        """Return what a token adds to this choice."""
        token = arrival.token
        special = self.tokenizer.special
        is_end = token.finish == "stop" and token.id in (
            special("assistant_end"),
            self.tokenizer.bos,
        )
        if self._first_s is None:
            self._first_s = arrival.at_s
        self._last_s = arrival.at_s
        self.finish = token.finish
        if not is_end:
            self.num_tokens += 1
        text = "".join(piece.text for piece in token.pieces if piece.type == "text")
        piece = Piece(
            index=self.index,
            text=text,
            tool_parts=tuple(piece for piece in token.pieces if piece.type != "text"),
            probs=self._probs(token, text, is_end=is_end),
            token=None if is_end else token,
            finish=token.finish,
        )
        self.num_chars += len(text)
        return piece

    @property
    def text(self) -> str:
        """The text of the pieces that were kept."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def tool_parts(self) -> tuple[Part, ...]:
        """The tool parts of the pieces that were kept."""
        return tuple(part for piece in self.pieces for part in piece.tool_parts)

    def parts(self) -> list[dict[str, str]]:
        """Return text and tool parts in their order, neighbouring texts joined."""
        parts: list[dict[str, str]] = []
        for piece in self.pieces:
            for part in _in_order(piece):
                if part.type == "text" and parts and parts[-1]["type"] == "text":
                    parts[-1]["text"] += part.text
                else:
                    parts.append({"type": part.type, "text": part.text})
        return parts

    def summary(self) -> dict[str, Any]:
        """Return the figures that end a lab answer.

        tok_per_sec is the rate after the first token; of a single token, it is over the wait.
        """
        if self._first_s is None:
            return {"ttft_s": None, "tok_per_sec": None, "tokens": 0, "seed": self.seed}
        ttft_s = self._first_s - self.submitted_s
        decode_s = self._last_s - self._first_s
        rate = (self.num_tokens - 1) / decode_s if decode_s > 0 else self.num_tokens / ttft_s
        return {
            "ttft_s": round(ttft_s, 6),
            "tok_per_sec": round(rate, 2),
            "tokens": self.num_tokens,
            "seed": self.seed,
        }

    def _probs(self, token: Token, text: str, *, is_end: bool) -> tuple[TokenProb, ...]:
        """Return the tokens whose text is certain now.

        Text is held back while a stop string may have begun, and its tokens with it. Tool calls
        and their markers are no text.
        """
        if self.num_alternatives is None:
            return ()
        if token.id >= self.tokenizer.vocab_size - self.tokenizer.num_specials:
            special = self.tokenizer.special
            self._is_text = token.id not in (special("python_start"), special("output_start"))
        elif self._is_text and token.probe is not None:
            self._pending.append(self._prob(token.id, token.probe))
        if not text and (token.finish != "length" or is_end):
            return ()
        ready, self._pending = tuple(self._pending), []
        return ready

    def _prob(self, token_id: int, probe: Probe) -> TokenProb:
        data = self.tokenizer.token_bytes(token_id)
        return TokenProb(
            text=data.decode("utf-8", errors="replace"),
            data=data,
            logprob=-probe.surprisal_nats,
            top=tuple(
                (self.tokenizer.token_bytes(other), math.log(p) if p > 0 else LOGPROB_OF_NEVER)
                for other, p in probe.top
            ),
        )


def merge(pieces: Sequence[Piece]) -> Piece:
    """Return several pieces of one choice, none with a probe of its own, as a single one."""
    if len(pieces) == 1:
        return pieces[0]
    return Piece(
        index=pieces[0].index,
        text="".join(piece.text for piece in pieces),
        tool_parts=tuple(part for piece in pieces for part in piece.tool_parts),
        probs=tuple(prob for piece in pieces for prob in piece.probs),
        token=None,
        finish=pieces[-1].finish,
    )


def lab_of(piece: Piece) -> dict[str, Any]:
    """Return what the lab adds to the chunk of one token."""
    lab: dict[str, Any] = {}
    if piece.token is not None:
        lab["id"] = piece.token.id
        lab["is_forced"] = piece.token.is_forced
        probe = piece.token.probe
        if probe is not None:
            lab["entropy_nats"] = round(probe.entropy_nats, 6)
            lab["surprisal_nats"] = round(probe.surprisal_nats, 6)
            lab["rank"] = probe.rank
            lab["top"] = [[token_id, round(p, 6)] for token_id, p in probe.top]
    if piece.tool_parts:
        lab["parts"] = [{"type": part.type, "text": part.text} for part in piece.tool_parts]
    return lab


def _in_order(piece: Piece) -> Sequence[Part]:
    if piece.token is not None:
        return piece.token.pieces
    texts = (Part(type="text", text=piece.text),) if piece.text else ()
    return (*texts, *piece.tool_parts)

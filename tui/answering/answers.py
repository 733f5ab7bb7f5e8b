"""One answer as it arrives: its text by token, its tool calls, its figures. Pure."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.chat_format import Part
from core.engine.answer import join_parts, readable
from core.experiments.report.strips import NATS_PER_BIT, level_of
from tui.answering.chunks import Chunk, Ending
from tui.answering.departure import text_departure
from tui.shell.printable import printable

Phase = Literal["waiting", "answering", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenText:
    """What one token added to what is read; `level` is the colour of its entropy, 0 to 4.

    level: None where a tool wrote it, or where nothing is known of it.
    last: the last of the ids that made it; a character may take several.
    """

    text: str
    level: int | None = None
    is_tool: bool = False
    last: int = 0


class Answer:
    """One answer in the making."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked_s = clock()
        self._first_s: float | None = None
        self._last_s = 0.0
        self.phase: Phase = "waiting"
        self.problem = ""
        self.tokens: list[TokenText] = []
        self.ids: list[int] = []
        self.is_forced: list[bool] = []
        self.entropy_nats: list[float] = []
        self.surprisal_nats: list[float] = []
        self.tops: list[tuple[tuple[int, float], ...]] = []
        self.ending: Ending | None = None
        self._pieces: list[Part] = []

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.phase in ("done", "stopped", "failed")

    @property
    def text(self) -> str:
        """What people read, tool calls included."""
        return "".join(token.text for token in self.tokens)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The answer's text and tool parts, neighbouring texts joined."""
        return join_parts(self._pieces)

    @property
    def shown(self) -> str:
        """The answer with its tool calls, as every command writes it."""
        return readable(self.parts)

    @property
    def num_tokens(self) -> int:
        """Tokens so far; the server does not count the one that ends an answer."""
        return len(self.ids)

    @property
    def ttft_s(self) -> float | None:
        """Seconds to the first token: the server's own figure, and until that is known ours."""
        if self.ending is not None:
            return self.ending.ttft_s
        return None if self._first_s is None else self._first_s - self._asked_s

    @property
    def tok_per_sec(self) -> float | None:
        """Tokens a second after the first one."""
        if self.ending is not None:
            return self.ending.tok_per_sec
        if self._first_s is None or self._last_s <= self._first_s:
            return None
        return (self.num_tokens - 1) / (self._last_s - self._first_s)

    @property
    def entropy_bits(self) -> float | None:
        """Mean entropy where the model chose the token itself."""
        own = self.own_entropies_bits
        known = [bits for bits in own if bits is not None]
        return math.fsum(known) / len(known) if known else None

    @property
    def own_entropies_bits(self) -> list[float | None]:
        """The entropy of each token in bits; None where a tool wrote it."""
        return [
            None if is_forced else nats / NATS_PER_BIT
            for nats, is_forced in zip(self.entropy_nats, self.is_forced, strict=True)
        ]

    def text_of(self, index: int) -> int | None:
        """Return which of `tokens` holds what the id at `index` added; None before it is there."""
        place = bisect_left(self.tokens, index, key=lambda token: token.last)
        return place if place < len(self.tokens) else None

    def take(self, chunk: Chunk) -> None:
        """Add what has arrived."""
        if chunk.token_id is not None:
            self._take_token(chunk)
        if chunk.text:
            self._close_call()
            nats = chunk.entropy_nats
            level = None if nats is None else level_of(nats / NATS_PER_BIT)
            self._pieces.append(Part(type="text", text=chunk.text))
            # The model goes on without a space: it has said no bracket.
            is_joined = bool(self.tokens) and self.tokens[-1].is_tool
            gap = " " if is_joined and not chunk.text[0].isspace() else ""
            text = gap + printable(chunk.text)
            self.tokens.append(TokenText(text=text, level=level, last=self._last))
        for part in chunk.parts:
            self._take_tool(part)
        if chunk.ending is not None:
            self._close_call()
            self.ending, self.phase = chunk.ending, "done"

    def stop(self) -> None:
        """End it where it is."""
        if not self.is_over:
            self.phase = "stopped"

    def fail(self, problem: str) -> None:
        """End it with what went wrong; what had come stays."""
        self.phase, self.problem = "failed", problem

    def _take_token(self, chunk: Chunk) -> None:
        assert chunk.token_id is not None
        now = self._clock()
        if self._first_s is None:
            self._first_s = now
        self._last_s = now
        self.phase = "answering"
        self.ids.append(chunk.token_id)
        self.is_forced.append(chunk.is_forced)
        self.entropy_nats.append(chunk.entropy_nats or 0.0)
        self.surprisal_nats.append(chunk.surprisal_nats or 0.0)
        self.tops.append(chunk.top)

    @property
    def _last(self) -> int:
        return max(len(self.ids) - 1, 0)

    def _take_tool(self, part: Part) -> None:
        is_open = bool(self._pieces) and self._pieces[-1].type == "python"
        self._pieces.append(part)
        if part.type == "python":
            text = f"[{part.text}"
        else:
            text = f" = {part.text}]" if is_open else f"[= {part.text}]"
        self.tokens.append(TokenText(text=printable(text), is_tool=True, last=self._last))

    def _close_call(self) -> None:
        """End a call that nothing answered, as people read it."""
        if self._pieces and self._pieces[-1].type == "python":
            self.tokens.append(TokenText(text="]", is_tool=True, last=self.tokens[-1].last))


def departure(first: Answer, own: Answer) -> int | None:
    """Return the character where an answer departs from the first one.

    None as long as one begins with the other and either goes on, and when both are equal.
    """
    return text_departure(first.text, own.text, is_whole=first.is_over and own.is_over)


def token_at(tokens: Sequence[TokenText], char: int) -> int:
    """Return the token that holds a character of the joined text; past the end, their number."""
    end = 0
    for index, token in enumerate(tokens):
        end += len(token.text)
        if char < end:
            return index
    return len(tokens)

"""A conversation with one model at a time: its turns, and the answer to the next.

Loads no model and writes nothing. What of it the model reads is core/engine/context.py's to say.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labcli.chat.keys import stop_on_interrupt
from labcli.speaking.prompting import prompt_of
from labcli.speaking.speaker import Speaker
from runs.errors import UsageError
from tui.answering.sampling import TalkSettings

if TYPE_CHECKING:
    from core.chat_format import Part
    from core.engine.context import Fitted
    from core.engine.engine import Engine

Show = Callable[["Part"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer with what it took.

    num_context: positions that the prompt and the answer take, of max_context; the model was
        trained on texts of trained_context.
    num_unread: turns at the beginning that did not fit and were not read.
    weights: the type that the model computed with.
    """

    parts: tuple[Part, ...]
    num_tokens: int
    finish: str
    ttft_s: float | None
    wall_s: float
    num_context: int
    trained_context: int
    max_context: int
    num_unread: int
    weights: str = "native"

    @property
    def text(self) -> str:
        """The answer without its tool calls."""
        return "".join(part.text for part in self.parts if part.type == "text")

    @property
    def tok_per_sec(self) -> float:
        """New tokens over the whole time, prefill included."""
        return self.num_tokens / self.wall_s

    def content(self) -> list[dict[str, str]]:
        """Return the answer as the content of a message."""
        return [{"type": part.type, "text": part.text} for part in self.parts]

    def stats_row(self) -> dict[str, Any]:
        """Return what the answer took as --json states it."""
        return {
            "num_tokens": self.num_tokens,
            "finish": self.finish,
            "weights": self.weights,
            "ttft_s": None if self.ttft_s is None else round(self.ttft_s, 4),
            "tok_per_sec": round(self.tok_per_sec, 1),
            "context": {
                "used": self.num_context,
                "trained": self.trained_context,
                "max": self.max_context,
                "unread_turns": self.num_unread,
            },
        }

    def as_row(self, model: str, prompt: str, settings: TalkSettings) -> dict[str, Any]:
        """Return the answer as --json states it."""
        return {
            "model": model,
            "prompt": prompt,
            "text": self.text,
            "parts": self.content(),
            **self.stats_row(),
            "settings": settings.as_row(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A question, its answer, who gave it and how it was drawn."""

    text: str
    answer: Answer
    model: str
    settings: TalkSettings


class Conversation:
    """The turns so far, and the model that continues them."""

    def __init__(self, speaker: Speaker, settings: TalkSettings) -> None:
        self.speaker = speaker
        self.settings = settings
        self.system: str | None = None
        self.turns: list[Turn] = []
        self._num_draws = 0

    @property
    def engine(self) -> Engine:
        """The model that speaks."""
        return self.speaker.engine

    @property
    def model(self) -> str:
        """The name of the model that speaks."""
        return self.speaker.name

    def seed(self, seed: int) -> None:
        """Draw the next answers as a conversation does that starts with this seed."""
        self.settings = self.settings.changed(seed=seed)
        self._num_draws = 0

    def clear(self) -> None:
        """Forget every turn; the system text stays."""
        self.turns.clear()

    def undo(self) -> Turn | None:
        """Forget the last turn and return it; None when there is none."""
        return self.turns.pop() if self.turns else None

    def say(self, text: str, show: Show) -> Answer:
        """Return the answer to `text`, its pieces shown as they come.

        Ctrl-C ends the answer where it is; one that has not begun leaves no trace.

        Raises:
            UsageError: the text alone does not fit. It leaves no trace.
        """
        fitted = self._fit(text)
        # Another seed per answer: equal questions may get different answers.
        request = self.settings.request(fitted.prompt_ids, draw=self._num_draws)
        pieces: list[Part] = []
        finish, num_tokens, ttft_s, started_s = "interrupted", 0, None, time.perf_counter()
        # The first Ctrl-C is seen between two tokens; a second one does not wait for that. The
        # stream is closed at once, so that its row of the cache is free again.
        with (
            stop_on_interrupt() as stop,
            contextlib.suppress(KeyboardInterrupt),
            contextlib.closing(self.engine.stream([request])) as tokens,
        ):
            for token in tokens:
                if ttft_s is None:
                    ttft_s = time.perf_counter() - started_s
                num_tokens += 1
                for piece in token.pieces:
                    pieces.append(piece)
                    show(piece)
                finish = token.finish or finish
                if stop.is_asked:
                    break
        answer = Answer(
            parts=_joined(pieces),
            num_tokens=num_tokens,
            finish=finish,
            ttft_s=ttft_s,
            wall_s=time.perf_counter() - started_s,
            num_context=len(fitted.prompt_ids) + num_tokens,
            trained_context=self.engine.model.config.sequence_len,
            max_context=self.engine.max_positions,
            num_unread=fitted.num_dropped // 2,
            weights=self.engine.weights,
        )
        if pieces or finish != "interrupted":
            self._num_draws += 1
            self.turns.append(
                Turn(text=text, answer=answer, model=self.model, settings=self.settings)
            )
        return answer

    def messages(self) -> list[dict[str, Any]]:
        """Return the turns as messages, after the system text."""
        messages: list[dict[str, Any]] = []
        if self.system:
            messages.append({"role": "system", "content": self.system})
        for turn in self.turns:
            messages.append({"role": "user", "content": turn.text})
            messages.append({"role": "assistant", "content": turn.answer.content()})
        return messages

    def _fit(self, text: str) -> Fitted:
        room = self.engine.max_positions - self.settings.max_new_tokens
        if room < 1:
            raise UsageError(
                f"answers of {self.settings.max_new_tokens} tokens leave no room for a question: "
                f"the model has {self.engine.max_positions} positions; lower max-new-tokens"
            )
        return prompt_of(self.speaker, [*self.messages(), {"role": "user", "content": text}], room)


def _joined(pieces: list[Part]) -> tuple[Part, ...]:
    from core.engine.answer import join_parts

    return join_parts(pieces)

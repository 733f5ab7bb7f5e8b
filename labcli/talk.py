"""A conversation in a terminal: turns, commands, streaming. Loads no model itself.

The answer goes to stdout; tool calls, prompts and hints are narration and go to stderr.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labcli import diagnostics
from labcli.output import emit, emit_json_line, emit_part
from runs.errors import UsageError

if TYPE_CHECKING:
    from core.chat_format import Part
    from core.engine.engine import Engine

PROMPT = "> "
HELP = "/clear starts a new conversation, /quit (or Ctrl-D) leaves, Ctrl-C stops an answer"
DIM, RESET = "\x1b[2m", "\x1b[0m"


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkSettings:
    """How answers are drawn; without a temperature above 0 the other two change nothing."""

    temperature: float
    top_k: int
    seed: int
    max_new_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer with what it took."""

    text: str
    parts: tuple[Part, ...]
    num_tokens: int
    finish: str
    ttft_s: float
    wall_s: float

    def as_row(self, model: str, prompt: str, settings: TalkSettings) -> dict[str, Any]:
        """Return the answer as --json states it."""
        return {
            "model": model,
            "prompt": prompt,
            "text": self.text,
            "parts": [{"type": part.type, "text": part.text} for part in self.parts],
            "num_tokens": self.num_tokens,
            "finish": self.finish,
            "ttft_s": round(self.ttft_s, 4),
            "tok_per_sec": round(self.num_tokens / self.wall_s, 1),
            "settings": {
                "temperature": settings.temperature,
                "top_k": settings.top_k,
                "seed": settings.seed,
                "max_new_tokens": settings.max_new_tokens,
            },
        }


class Conversation:
    """The turns so far, and the model that continues them."""

    def __init__(self, engine: Engine, settings: TalkSettings) -> None:
        self.engine = engine
        self.settings = settings
        self._messages: list[dict[str, Any]] = []
        self._num_answers = 0

    def clear(self) -> None:
        """Forget every turn."""
        self._messages.clear()

    def say(self, text: str, show: Callable[[Part], None]) -> Answer:
        """Return the answer to `text`, its pieces shown as they come.

        Ctrl-C ends the answer where it is. A text that does not fit leaves no trace.
        """
        asked = [*self._messages, {"role": "user", "content": text}]
        answer = self._answer(asked, show)
        content = [{"type": part.type, "text": part.text} for part in answer.parts]
        self._messages = [*asked, {"role": "assistant", "content": content}]
        self._num_answers += 1
        return answer

    def _answer(self, messages: list[dict[str, Any]], show: Callable[[Part], None]) -> Answer:
        from core.chat_format import render_for_completion
        from core.engine.answer import join_parts
        from core.engine.request import Request

        request = Request(
            prompt_ids=render_for_completion(self.engine.tokenizer, messages),
            max_new_tokens=self.settings.max_new_tokens,
            temperature=self.settings.temperature,
            top_k=self.settings.top_k,
            # Another seed per turn: equal questions may get different answers.
            seed=self.settings.seed + self._num_answers,
        )
        pieces: list[Part] = []
        finish, num_tokens, started_s, ttft_s = "interrupted", 0, time.perf_counter(), 0.0
        try:
            # Closed at once when it is interrupted: the row of the cache is then free again.
            with contextlib.closing(self.engine.stream([request])) as tokens:
                for token in tokens:
                    ttft_s = ttft_s or time.perf_counter() - started_s
                    num_tokens += 1
                    finish = token.finish or finish
                    for piece in token.pieces:
                        pieces.append(piece)
                        show(piece)
        except KeyboardInterrupt:
            finish = "interrupted"
        parts = join_parts(pieces)
        return Answer(
            text="".join(part.text for part in parts if part.type == "text"),
            parts=parts,
            num_tokens=num_tokens,
            finish=finish,
            ttft_s=ttft_s,
            wall_s=time.perf_counter() - started_s,
        )


def show_piece(piece: Part) -> None:
    """Write a piece of an answer: its text to stdout, tool calls to stderr, dim on a terminal."""
    if piece.type == "text":
        emit_part(_printable(piece.text) if sys.stdout.isatty() else piece.text)
    elif piece.type == "python":
        _narrate_inline(f"[{piece.text}")
    else:
        end = " " if sys.stderr.isatty() else "\n"
        _narrate_inline(f" = {piece.text}]{end}")


def show_nothing(piece: Part) -> None:
    """Show no piece: the whole answer is written at its end."""


def _printable(text: str) -> str:
    """Return text without control characters, which a model could use to steer the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)


def _narrate_inline(text: str) -> None:
    text = _printable(text)
    is_plain = (
        not sys.stderr.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    )
    diagnostics.inline(text if is_plain else f"{DIM}{text}{RESET}")


def repeat(conversation: Conversation, model: str, *, is_json: bool) -> None:
    """Answer line after line until the end of input or /quit."""
    if diagnostics.is_terminal():
        diagnostics.say(HELP)
    if _is_editable():
        with contextlib.suppress(ImportError):
            # Gives input() line editing. Not above: it writes to a terminal when imported.
            import readline  # noqa: F401
    while (line := _read_line()) is not None:
        text = line.strip()
        if text in ("/quit", "/exit"):
            return
        if text == "/clear":
            conversation.clear()
            diagnostics.say("a new conversation")
        elif re.fullmatch(r"/\w*", text):
            diagnostics.say(HELP)
        elif text:
            _turn(conversation, model, text, is_json=is_json)


def _turn(conversation: Conversation, model: str, text: str, *, is_json: bool) -> None:
    try:
        answer = conversation.say(text, show_nothing if is_json else show_piece)
    except UsageError as error:
        diagnostics.say(f"{error} (/clear starts a new conversation)")
        return
    if is_json:
        emit_json_line(answer.as_row(model, text, conversation.settings))
    else:
        emit("")
    note_cut(answer, conversation.settings)


def note_cut(answer: Answer, settings: TalkSettings) -> None:
    """Tell when an answer ended because it had no room left."""
    if answer.finish == "length":
        limit = settings.max_new_tokens
        diagnostics.say(f"cut off at {limit} tokens; --max-new-tokens allows more")


def read_stdin() -> str:
    """Return all of standard input; bytes that are not UTF-8 become U+FFFD."""
    return sys.stdin.buffer.read().decode("utf-8", errors="replace")


def _is_editable() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _read_line() -> str | None:
    """Return the next line, or None at the end of input; Ctrl-C drops a line being typed."""
    while True:
        try:
            if _is_editable():
                return input(PROMPT)
            if sys.stdin.isatty():
                diagnostics.inline(PROMPT)
            return sys.stdin.buffer.readline().decode("utf-8", errors="replace") or None
        except EOFError:
            emit("")
            return None
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            diagnostics.say(f"\n{HELP}")

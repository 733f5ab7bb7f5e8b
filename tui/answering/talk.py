"""A conversation with one model at a time, kept while other views are shown. Plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runs.errors import UsageError
from tui.answering.answers import Answer
from tui.answering.chunks import Ask, Message
from tui.answering.columns import first_token
from tui.answering.models import ModelEntry
from tui.answering.sampling import TalkSettings
from tui.answering.transcript_file import SpokenTurn, Transcript
from tui.shell import format as fmt
from tui.shell.format import counted

FINISHES = {"length": "cut off", "stopped": "stopped"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Turn:
    """A question, who answers it, how, and the answer in the making."""

    text: str
    model: ModelEntry
    settings: TalkSettings
    answer: Answer


class Talk:
    """The turns so far and what the next one is asked with."""

    def __init__(self, settings: TalkSettings) -> None:
        self.model: ModelEntry | None = None
        self.settings = settings
        self.system: str | None = None
        self.turns: list[Turn] = []
        self._num_draws = 0

    @property
    def is_at_work(self) -> bool:
        """Whether more of the last answer will come."""
        return bool(self.turns) and not self.turns[-1].answer.is_over

    def seed(self, seed: int) -> None:
        """Draw the next answers as a conversation does that starts with this seed."""
        self.settings = self.settings.changed(seed=seed)
        self._num_draws = 0

    def cut(self, place: int) -> list[Turn]:
        """Forget a turn and all after it; return them."""
        forgotten = self.turns[place:]
        del self.turns[place:]
        return forgotten

    def say(self, text: str) -> tuple[Turn, Ask]:
        """Open a turn; return it and what the server is asked for it.

        Raises:
            UsageError: no model was chosen.
        """
        if self.model is None:
            raise UsageError("choose a model first: /model")
        # Another seed per answer: equal questions may get different answers.
        drawn = self.settings.changed(seed=self.settings.seed + self._num_draws)
        self._num_draws += 1
        messages = [*self.messages(), {"role": "user", "content": text}]
        turn = Turn(text=text, model=self.model, settings=drawn, answer=Answer())
        self.turns.append(turn)
        ask = Ask(
            model=self.model.name, is_base=self.model.is_base, messages=messages, settings=drawn
        )
        return turn, ask

    def messages(self) -> list[Message]:
        """Return the answered turns as messages, after the system text."""
        return [*self.transcript(answered(self.turns)).messages()]

    def transcript(self, turns: Sequence[Turn] | None = None) -> Transcript:
        """Return the talk as its file states it."""
        spoken = [
            SpokenTurn(
                text=turn.text,
                parts=turn.answer.parts,
                model=turn.model.name,
                settings=turn.settings,
                num_tokens=turn.answer.num_tokens,
                stats=stats_row(turn.answer),
            )
            for turn in (answered(self.turns) if turns is None else turns)
        ]
        return Transcript(
            model="" if self.model is None else self.model.name,
            system=self.system,
            settings=self.settings,
            turns=spoken,
        )


def answered(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns in which a model has said something."""
    return [turn for turn in turns if turn.answer.parts]


def stats_row(answer: Answer) -> dict[str, Any]:
    """Return what an answer took as a file states it."""
    ending = answer.ending
    row: dict[str, Any] = {
        "num_tokens": answer.num_tokens,
        "finish": answer.phase if ending is None else ending.finish,
        "ttft_s": None if answer.ttft_s is None else round(answer.ttft_s, 4),
        "tok_per_sec": None if answer.tok_per_sec is None else round(answer.tok_per_sec, 1),
    }
    if ending is not None:
        row["context"] = {
            "used": ending.used,
            "trained": ending.trained,
            "max": ending.max_positions,
            "unread_turns": ending.num_dropped // 2,
        }
    return row


def stats_words(answer: Answer) -> str:
    """Return what an answer took, in one line; what a narrow terminal can do without comes last."""
    words = [f"{answer.num_tokens} tokens"]
    if answer.tok_per_sec is not None:
        words.append(f"{fmt.compact(answer.tok_per_sec)} tokens/s")
    if answer.ttft_s is not None:
        words.append(f"first after {first_token(answer.ttft_s)}")
    ending = answer.ending
    if ending is not None:
        share = fmt.percent(ending.used / ending.trained)
        words.append(f"context {ending.used:,} of {ending.trained:,} trained ({share})")
    finish = answer.phase if ending is None else ending.finish
    if finish in FINISHES:
        words.append(FINISHES[finish])
    if ending is not None and ending.num_dropped:
        words.append(f"{ending.num_dropped // 2} oldest turns unread")
    return "  ".join(words)


def total_words(turns: Sequence[Turn]) -> str:
    """Return what all answers took together."""
    answers = [turn.answer for turn in turns]
    num_tokens = sum(answer.num_tokens for answer in answers)
    firsts = sorted(answer.ttft_s for answer in answers if answer.ttft_s is not None)
    median = f", first after {first_token(firsts[len(firsts) // 2])} (median)" if firsts else ""
    count = counted(len(answers), "answer")
    return f"{count}, {num_tokens} tokens{median}"


def markdown_of(text: str, *, is_tool: bool) -> str:
    """Return what a token adds to an answer's markdown; a tool call stands as code."""
    if not is_tool:
        return text
    # What a model writes into a call must not end the stretch of code that shows it.
    shown = " ".join(text.replace("`", "'").split("\n"))
    return ("`" if shown.startswith("[") else "") + shown + ("` " if shown.endswith("]") else "")

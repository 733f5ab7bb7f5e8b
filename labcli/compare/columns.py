"""What is compared: one column per prompt, model, temperature and seed, and what it says so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tui.answering.departure import text_departure
from tui.answering.sampling import TalkSettings

if TYPE_CHECKING:
    from core.chat_format import Part
    from core.engine.request import Token

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """One column's place: `label` is a letter within its prompt, `model` a reference's index."""

    label: str
    prompt: str
    model: int
    settings: TalkSettings


class Column:
    """One answer in the making: `text` is what is shown, tool calls included.

    Times are of its model's own work, see race.py, which sets `prompt_ids` too.
    """

    def __init__(self, combination: Combination, model: str) -> None:
        self.combination = combination
        self.model = model
        self.prompt_ids: Sequence[int] = ()
        self.ids: list[int] = []
        self.finish: str | None = None
        self.ttft_s: float | None = None
        self.text = ""
        self._pieces: list[Part] = []
        self._last_s = 0.0
        self._entropies_nats: list[float] = []

    @property
    def num_tokens(self) -> int:
        """Tokens so far, the one that ends the answer included."""
        return len(self.ids)

    @property
    def is_done(self) -> bool:
        """Whether nothing more will come."""
        return self.finish is not None

    @property
    def tok_per_sec(self) -> float | None:
        """Tokens a second after the first one; None for fewer than two."""
        if self.ttft_s is None or self._last_s <= self.ttft_s:
            return None
        return (self.num_tokens - 1) / (self._last_s - self.ttft_s)

    @property
    def entropy_bits(self) -> float | None:
        """Mean entropy of the model's distribution over the tokens that it chose itself."""
        if not self._entropies_nats:
            return None
        return math.fsum(self._entropies_nats) / len(self._entropies_nats) / math.log(2)

    def take(self, token: Token, clock_s: float) -> None:
        """Add a token that came when the model had worked for `clock_s`."""
        from core.engine.answer import readable

        if self.ttft_s is None:
            self.ttft_s = clock_s
        self._last_s = clock_s
        self.ids.append(token.id)
        self.finish = token.finish or self.finish
        if token.probe is not None and not token.is_forced:
            self._entropies_nats.append(token.probe.entropy_nats)
        if token.pieces:
            self._pieces += token.pieces
            self.text = readable(self._pieces)

    def interrupt(self) -> None:
        """End an answer that is not done."""
        self.finish = self.finish or "interrupted"

    def as_row(self) -> dict[str, Any]:
        """Return the column as --json states it; `text` is without tool calls."""
        from core.engine.answer import join_parts

        settings, parts = self.combination.settings, join_parts(self._pieces)
        return {
            "label": self.combination.label,
            "prompt": self.combination.prompt,
            "model": self.model,
            "temperature": settings.temperature,
            "seed": settings.seed,
            "text": "".join(part.text for part in parts if part.type == "text"),
            "tokens": self.num_tokens,
            "prompt_tokens": len(self.prompt_ids),
            "total_tokens": len(self.prompt_ids) + self.num_tokens,
            "ttft_s": None if self.ttft_s is None else round(self.ttft_s, 4),
            "total_s": None if self.ttft_s is None else round(self._last_s, 4),
            "tok_per_sec": None if self.tok_per_sec is None else round(self.tok_per_sec, 1),
            "entropy_bits": None if self.entropy_bits is None else round(self.entropy_bits, 4),
            "finish": self.finish,
            "parts": [{"type": part.type, "text": part.text} for part in parts],
            "settings": settings.as_row(),
        }


def combine(
    prompts: Sequence[str],
    num_models: int,
    temperatures: Sequence[float],
    num_answers: int,
    settings: TalkSettings,
) -> list[Combination]:
    """Return every combination: prompts, in them models, temperatures, and seeds going up."""
    return [
        Combination(
            label=label_of((model * len(temperatures) + index) * num_answers + number),
            prompt=prompt,
            model=model,
            settings=replace(settings, temperature=temperature, seed=settings.seed + number),
        )
        for prompt in prompts
        for model in range(num_models)
        for index, temperature in enumerate(temperatures)
        for number in range(num_answers)
    ]


def difference(first: Column, own: Column) -> int | None:
    """Return the character where a column departs from the first of its prompt.

    None as long as one begins with the other and either is not done, and when both are equal.
    """
    return text_departure(first.text, own.text, is_whole=first.is_done and own.is_done)


def label_of(index: int) -> str:
    """Return A to Z, AA, AB and so on."""
    label = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, len(LETTERS))
        label = LETTERS[digit] + label
    return label

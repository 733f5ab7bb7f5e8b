"""Pairs of answers to one prompt: token by token where that is possible, else as texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

from torch import Tensor

from core.experiments.compare.divergence import Divergence, Parting, diverge, part, read_answer
from core.model import GPT
from core.tokenizer import Tokenizer

# Why a pair has no divergence: a model does not diverge from itself; tokens of two tokenizers
# are not the same events; one answer is empty.
Reason = Literal["one model", "different tokenizers", "no token"]


class Said:
    """One answer, and the model and prompt that it came from.

    ids: every token, the one that ended the answer included.
    text: what a person reads.
    """

    def __init__(
        self,
        model: GPT,
        tokenizer: Tokenizer,
        *,
        prompt_ids: Sequence[int],
        ids: Sequence[int],
        text: str,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.prompt_ids = prompt_ids
        self.ids = ids
        self.text = text

    @cached_property
    def hidden(self) -> Tensor:
        """What each token was chosen from, (T, C); read once, whatever number of pairs needs it."""
        return read_answer(self.model, self.prompt_ids, self.ids)


class Pair:
    """Two answers to one prompt. What is measured, is measured when it is first asked for.

    parting: None where the tokenizers differ.
    """

    def __init__(self, a: Said, b: Said) -> None:
        self._a, self._b = a, b
        has_tokens = a.tokenizer.hash == b.tokenizer.hash
        self.parting: Parting | None = part(a.tokenizer, a.ids, b.ids) if has_tokens else None

    @property
    def text_at(self) -> int | None:
        """The first character in which the texts differ; None where they are equal."""
        a, b = self._a.text, self._b.text
        for index, (own, other) in enumerate(zip(a, b, strict=False)):
            if own != other:
                return index
        return None if len(a) == len(b) else min(len(a), len(b))

    @property
    def reason(self) -> Reason | None:
        """Why there is no divergence; None where there is one."""
        if self.parting is None:
            return "different tokenizers"
        if self._a.model is self._b.model:
            return "one model"
        return None if self.parting.num_choices else "no token"

    @cached_property
    def divergence(self) -> Divergence | None:
        """How far the models are apart before each shared token, and where the answers part."""
        if self.parting is None or self.reason is not None:
            return None
        return diverge(
            self._a.model,
            self._a.hidden,
            self._b.model,
            self._b.hidden,
            self.parting.num_choices,
        )

    def as_row(self) -> dict[str, Any]:
        """Return the pair as JSON states it."""
        row: dict[str, Any] = {"text_differs_at": self.text_at}
        if self.parting is not None:
            parting = self.parting
            row |= {
                "is_same": parting.is_same,
                "shared_tokens": parting.num_shared,
                "first_difference": None if parting.is_same else {
                    "token": parting.num_shared,
                    "a": _token_row(parting.id_a, parting.text_a),
                    "b": _token_row(parting.id_b, parting.text_b),
                },
            }  # fmt: skip
        row["divergence"] = None if self.divergence is None else self.divergence.as_row()
        row["without_divergence"] = self.reason
        return row


def pairs_of(answers: Sequence[Said]) -> list[tuple[int, int, Pair]]:
    """Return every pair of answers to one prompt, with their places, the earlier one first."""
    return [
        (first, second, Pair(answers[first], answers[second]))
        for first, second in combinations(range(len(answers)), 2)
    ]


def _token_row(token_id: int | None, text: str | None) -> dict[str, Any] | None:
    return None if token_id is None else {"id": token_id, "text": text}

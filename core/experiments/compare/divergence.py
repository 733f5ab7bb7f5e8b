"""Where two answers to one prompt part, and how far their models disagree on the way there.

Both models read what both answers share, each after its own form of the prompt (a base model
continues a text, a chat model is asked), and say what should come next. Everything is of the
models' own distributions: at temperature 1, before any penalty or filter, over all tokens.

Shapes: T positions, C model width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.device import exact_dtype
from core.model import GPT
from core.tokenizer import Tokenizer

# Positions whose logits are in memory at a time: 64 x 65,536 tokens are 34 MB in float64.
CHUNK_POSITIONS = 64
# More digits than a figure of float32 logits has; fewer would lose small divergences.
NUM_DIGITS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """Where two answers part: at token `num_shared`, counted from 0.

    ids and texts are of the first differing tokens; None where an answer has no token more.
    """

    num_shared: int
    id_a: int | None = None
    id_b: int | None = None
    text_a: str | None = None
    text_b: str | None = None

    @property
    def is_same(self) -> bool:
        """Whether the answers are equal, token by token."""
        return self.id_a is None and self.id_b is None

    @property
    def num_choices(self) -> int:
        """Positions at which both models stood: before each shared token, and where they part."""
        return self.num_shared + (self.id_a is not None and self.id_b is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """How far two next-token distributions are apart, in nats, position by position.

    Position i is the choice of answer token i. KL is relative entropy, KL(a||b) = the sum of
    a log(a / b); Jensen-Shannon is the mean KL of both to their mixture, at most log 2.
    """

    kl_ab_nats: tuple[float, ...]
    kl_ba_nats: tuple[float, ...]
    js_nats: tuple[float, ...]

    def as_row(self) -> dict[str, Any]:
        """Return the figures as JSON states them: positions in nats, their means in both units."""
        row: dict[str, Any] = {}
        for name, nats in (("kl_ab", self.kl_ab_nats), ("kl_ba", self.kl_ba_nats),
                           ("js", self.js_nats)):  # fmt: skip
            mean = math.fsum(nats) / len(nats)
            row[f"{name}_nats"] = [round(value, NUM_DIGITS) for value in nats]
            row[f"mean_{name}_nats"] = round(mean, NUM_DIGITS)
            row[f"mean_{name}_bits"] = round(mean / math.log(2), NUM_DIGITS)
        return row


def part(tokenizer: Tokenizer, a_ids: Sequence[int], b_ids: Sequence[int]) -> Parting:
    """Return where two answers of one vocabulary part."""
    num_shared = 0
    for a, b in zip(a_ids, b_ids, strict=False):
        if a != b:
            break
        num_shared += 1
    id_a = a_ids[num_shared] if num_shared < len(a_ids) else None
    id_b = b_ids[num_shared] if num_shared < len(b_ids) else None
    return Parting(
        num_shared=num_shared,
        id_a=id_a,
        id_b=id_b,
        text_a=None if id_a is None else tokenizer.decode([id_a]),
        text_b=None if id_b is None else tokenizer.decode([id_b]),
    )


@torch.inference_mode()
def read_answer(model: GPT, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> Tensor:
    """Return the hidden states from which each token of an answer was chosen, (T, C).

    One teacher-forced pass over the prompt and all of the answer but its last token.
    """
    ids = [*prompt_ids, *answer_ids][:-1]
    x_1TC = model.trunk(*model.embed(torch.tensor([ids], device=model.cos.device)))
    return x_1TC[0, len(prompt_ids) - 1 :]


@torch.inference_mode()
def diverge(
    model_a: GPT, hidden_a_TC: Tensor, model_b: GPT, hidden_b_TC: Tensor, num_choices: int
) -> Divergence:
    """Return how far two models are apart at their first `num_choices` choices, at least one."""
    columns: tuple[list[float], ...] = ([], [], [])
    for start in range(0, num_choices, CHUNK_POSITIONS):
        chunk = slice(start, min(start + CHUNK_POSITIONS, num_choices))
        a_TV = _logprobs(model_a, hidden_a_TC[chunk])
        b_TV = _logprobs(model_b, hidden_b_TC[chunk])
        mixed_TV = torch.logaddexp(a_TV, b_TV) - math.log(2)
        js_T = (_kl(a_TV, mixed_TV) + _kl(b_TV, mixed_TV)) / 2
        for column, values_T in zip(columns, (_kl(a_TV, b_TV), _kl(b_TV, a_TV), js_T), strict=True):
            # Rounding may leave a divergence of equal distributions just below zero.
            column.extend(values_T.clamp(min=0).tolist())
    return Divergence(
        kl_ab_nats=tuple(columns[0]), kl_ba_nats=tuple(columns[1]), js_nats=tuple(columns[2])
    )


def _logprobs(model: GPT, hidden_TC: Tensor) -> Tensor:
    logits_TV = model.logits(hidden_TC)
    return torch.log_softmax(logits_TV.to(exact_dtype(logits_TV.device)), dim=-1)


def _kl(p_TV: Tensor, q_TV: Tensor) -> Tensor:
    return torch.linalg.vecdot(p_TV.exp(), p_TV - q_TV)

"""Small transcripts whose figures can be worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.experiments.selfchat.transcript import Conversation, Setting, Side, TokenTrace, Turn


def trace(
    entropy_bits: Sequence[float] = (1.0,),
    *,
    ids: Sequence[int] | None = None,
    probabilities: Sequence[float] | None = None,
    ranks: Sequence[int] | None = None,
    forced: Sequence[bool] | None = None,
    other_probabilities: Sequence[float] | None = None,
) -> TokenTrace:
    """Return a token for each entropy; probabilities are 1/2 and ranks 0 unless given."""
    num = len(entropy_bits)
    return TokenTrace(
        ids=tuple(range(num) if ids is None else ids),
        entropy_nats=tuple(bits * math.log(2) for bits in entropy_bits),
        surprisal_nats=tuple(-math.log(p) for p in probabilities or [0.5] * num),
        rank=tuple(ranks or [0] * num),
        is_forced=tuple(forced or [False] * num),
        other_surprisal_nats=None
        if other_probabilities is None
        else tuple(-math.log(p) for p in other_probabilities),
    )


def turn(
    text: str = "hello there",
    tokens: TokenTrace | None = None,
    *,
    index: int = 0,
    side: Side = "a",
    embedding: tuple[float, ...] | None = None,
) -> Turn:
    """Return a turn of conversation 0."""
    return Turn(
        conversation=0,
        index=index,
        side=side,
        text=text,
        tokens=trace() if tokens is None else tokens,
        finish="stop",
        wall_s=0.1,
        embedding=embedding,
    )


def conversation(
    turns: Sequence[Turn],
    *,
    number: int = 0,
    setting: int = 0,
    seed: int = 0,
    topic: str = "the sea",
    topic_embedding: tuple[float, ...] | None = None,
) -> Conversation:
    """Return a finished conversation."""
    return Conversation(
        number=number,
        setting=setting,
        seed=seed,
        topic=topic,
        turns=tuple(turns),
        end="max_turns",
        topic_embedding=topic_embedding,
    )


def setting(index: int = 0, temperature: float = 1.0, *, model_b: str = "m1") -> Setting:
    """Return a setting in which m1 talks, to itself unless another model is named."""
    return Setting(index=index, model_a="m1", model_b=model_b, temperature=temperature)

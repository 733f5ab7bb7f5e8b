"""Self-chats made by hand: known entropies, known texts, and their summary."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from core.experiments.selfchat.transcript import (
    Conversation,
    ConversationEnd,
    Experiment,
    Setting,
    TokenTrace,
    Turn,
)
from core.tokenizer import Tokenizer

LN2 = math.log(2)
TEXTS = (
    "The tide comes in twice a day, and it leaves quietly.",
    "Why does it leave? Because the moon goes on without it!",
    "I think that we have said this before.",
    "Let us talk about the sea, and about what it brings.",
)


def make_tokenizer() -> Tokenizer:
    """Return a tokenizer of single bytes and two merges: "th" and "the"."""
    return Tokenizer([(ord("t"), ord("h")), (256, ord("e"))])


def make_trace(
    bits: Sequence[float], *, ids: Sequence[int] | None = None, forced: Sequence[int] = ()
) -> TokenTrace:
    """Return tokens with the given entropies; `forced` are the indexes that a tool wrote."""
    known = tuple(ids) if ids is not None else tuple(97 + at % 26 for at in range(len(bits)))
    return TokenTrace(
        ids=known,
        entropy_nats=tuple(one * LN2 for one in bits),
        surprisal_nats=tuple(one * LN2 / 2 for one in bits),
        rank=tuple(at % 7 for at in range(len(bits))),
        is_forced=tuple(at in forced for at in range(len(bits))),
        top_ids=tuple((id_, 32) for id_ in known),
        top_probs=tuple((0.5, 0.25) for _ in known),
    )


def make_turn(
    conversation: int, index: int, text: str, level_bits: float, rng: random.Random
) -> Turn:
    """Return a turn whose tokens have entropies around a level."""
    ids = make_tokenizer().encode(text)
    bits = [max(0.0, rng.gauss(level_bits, level_bits / 2)) for _ in ids]
    vector = tuple(rng.gauss(0, 1) for _ in range(4))
    return Turn(
        conversation=conversation,
        index=index,
        side="a" if index % 2 == 0 else "b",
        text=text,
        tokens=make_trace(bits, ids=ids),
        finish="stop",
        wall_s=0.25,
        embedding=vector,
    )


def make_experiment(
    *,
    temperatures: Sequence[float] = (0.6, 1.0, 1.4),
    num_conversations: int = 4,
    num_turns: int = 6,
    topic: str = "the sea",
    texts: Sequence[str] = TEXTS,
) -> Experiment:
    """Return an experiment: entropy falls over turns and rises with the temperature."""
    rng = random.Random(7)
    model = "tidal-otter"
    settings = tuple(
        Setting(index=index, model_a=model, model_b=model, temperature=one, top_k=50)
        for index, one in enumerate(temperatures)
    )
    conversations: list[Conversation] = []
    for setting in settings:
        for seed in range(num_conversations):
            number = len(conversations)
            turns = tuple(
                make_turn(
                    number,
                    index,
                    texts[(index + seed) % len(texts)],
                    (0.8 + 1.6 * setting.temperature) * (1 - 0.4 * index / num_turns)
                    + rng.gauss(0, 0.2),
                    rng,
                )
                for index in range(num_turns)
            )
            end: ConversationEnd = "loop" if rng.random() > setting.temperature else "max_turns"
            conversations.append(
                Conversation(
                    number=number,
                    setting=setting.index,
                    seed=seed,
                    topic=topic,
                    turns=turns,
                    end=end,
                    topic_embedding=(1.0, 0.0, 0.0, 0.0),
                )
            )
    return Experiment(settings=settings, conversations=tuple(conversations))

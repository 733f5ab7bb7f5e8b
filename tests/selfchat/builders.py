"""Self-chats of two-layer models and of engines that say what a test wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from core.engine.decoder import Place
from core.engine.engine import Engine
from core.experiments.selfchat.grid import make_conversations, make_settings
from core.experiments.selfchat.script import Cast
from core.experiments.selfchat.talk import SelfChat, Speaker
from core.experiments.selfchat.transcript import Conversation, Setting, Side, Turn
from core.model import GPT
from core.settings.experiments import SelfchatConfig
from tests.engine.builders import TOKENIZER, random_model, tiny_config

CAST = Cast(key_a="a", key_b="a", name_a="m", name_b="m")
END = TOKENIZER.special("assistant_end")


def config(**changes: Any) -> SelfchatConfig:
    """Return settings of a short self-chat at temperature 1."""
    values: dict[str, Any] = {
        "turns": 3, "num_seeds": 1, "temperatures": (1.0,), "max_new_tokens": 12, "batch_size": 4,
        "keep_looping": True,
    }  # fmt: skip
    return SelfchatConfig(**{**values, **changes})


def engine_of(model: GPT, *, batch_size: int = 4) -> Engine:
    """Return the engine that the stage would make."""
    return Engine(model, TOKENIZER, is_deterministic=True, max_rows=batch_size)


def planned(
    settings: SelfchatConfig, topics: Sequence[str]
) -> tuple[tuple[Setting, ...], tuple[Conversation, ...]]:
    """Return the cells and the conversations of a model that talks to itself."""
    cells = make_settings(settings, [CAST])
    return cells, make_conversations(settings, cells, topics)


def chat_of(
    settings: SelfchatConfig,
    engine_a: Engine,
    engine_b: Engine | None = None,
    *,
    share: int | None = None,
    max_context: int | None = None,
) -> SelfChat:
    """Return a self-chat of one engine, or of two."""
    engines: Mapping[Side, Engine] = {"a": engine_a, "b": engine_b or engine_a}
    systems: Mapping[Side, str | None] = {"a": settings.system_a, "b": settings.system_b}
    sides: Mapping[Side, Speaker] = {
        side: Speaker(
            engine=engine,
            system=systems[side],
            max_context=max_context or engine.max_positions,
        )
        for side, engine in engines.items()
    }
    return SelfChat(sides, make_settings(settings, [CAST]), settings, share=share)


def talk(
    chat: SelfChat, conversations: Iterable[Conversation], *, num_turns: int | None = None
) -> dict[int, Conversation]:
    """Return the conversations by number after they ended, or after so many turns of all."""
    known = {one.number: one for one in conversations}
    taken: list[Turn] = []

    def is_enough() -> bool:
        return num_turns is not None and len(taken) >= num_turns

    for said in chat.talk(list(known.values()), stop=is_enough):
        known[said.conversation.number] = said.conversation
        taken += [said.turn] if said.turn is not None else []
    return known


def uniform_model() -> GPT:
    """Return a model to which all tokens are equally likely everywhere."""
    model = random_model(tiny_config())
    with torch.no_grad():
        model.head.weight.zero_()
    return model


class Certain:
    """A decoder that is sure of the next token: those of its texts, one answer after another."""

    def __init__(self, *texts: str) -> None:
        self._texts = [[*TOKENIZER.encode(text), END] for text in texts]
        self._num_asked = -1
        self._taken: dict[int, tuple[int, int]] = {}

    def prefill(self, row: int, ids: Sequence[int], start: int, *, is_last: bool) -> Tensor | None:
        self._num_asked += 1
        self._taken[row] = (self._num_asked, 0)
        return self._logits(row) if is_last else None

    def decode(
        self, first_row: int, places: Sequence[Place | None], *, is_greedy: bool = False
    ) -> Tensor:
        rows = range(first_row, first_row + len(places))
        return torch.cat([self._logits(row) for row in rows])

    def copy_row(self, source: int, target: int, num_positions: int) -> None:
        raise AssertionError("a deterministic engine reuses nothing")

    def _logits(self, row: int) -> Tensor:
        answer, place = self._taken.get(row, (0, 0))
        self._taken[row] = (answer, place + 1)
        text = self._texts[answer % len(self._texts)]
        logits = torch.full((1, TOKENIZER.vocab_size), -1e6)
        logits[0, text[min(place, len(text) - 1)]] = 1e6
        return logits


def certain(*texts: str) -> Engine:
    """Return an engine of one row that gives these answers in turn."""
    model = GPT(tiny_config())
    model.init_weights(torch.Generator().manual_seed(0))
    return Engine(model, TOKENIZER, is_deterministic=True, max_rows=1, decoder=Certain(*texts))

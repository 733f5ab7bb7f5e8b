"""What a self-chat will do: the cells of its grid, its conversations, their seeds. Torch-free."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import product

from core.experiments.measures.repetition import find_loop
from core.experiments.selfchat.script import Cast
from core.experiments.selfchat.transcript import Conversation, ConversationEnd, Setting, Side, Turn
from core.settings.experiments import SelfchatConfig


def make_settings(config: SelfchatConfig, casts: Sequence[Cast]) -> tuple[Setting, ...]:
    """Return the cells of the grid: every cast with every combination of sampling settings."""
    cells = product(casts, config.temperatures, config.top_ks, config.top_ps)
    return tuple(
        Setting(
            index=index,
            model_a=cast.name_a,
            model_b=cast.name_b,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=config.min_p,
            repetition_penalty=config.repetition_penalty,
            stage=cast.stage,
            step=cast.step,
        )
        for index, (cast, temperature, top_k, top_p) in enumerate(cells)
    )


def make_conversations(
    config: SelfchatConfig, settings: Sequence[Setting], topics: Sequence[str]
) -> tuple[Conversation, ...]:
    """Return every topic with every seed under every setting, not yet begun.

    Settings vary fastest: whatever ends a self-chat early leaves the cells equally full.
    """
    cells = product(range(config.num_seeds), topics, settings)
    return tuple(
        Conversation(number=number, setting=setting.index, seed=seed, topic=topic)
        for number, (seed, topic, setting) in enumerate(cells)
    )


def speaker_of(index: int) -> Side:
    """Return who takes a turn: a answers the topic, then they alternate."""
    return "b" if index % 2 else "a"


def turn_seed(base_seed: int, conversation: Conversation, index: int) -> int:
    """Return the seed of a turn's draws: of its topic, seed and place, not of its setting.

    Conversations that differ in their setting alone thus draw the same numbers.
    """
    text = f"{base_seed}/{conversation.seed}/{index}/{conversation.topic}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def token_share(config: SelfchatConfig, num_conversations: int) -> int | None:
    """Return how many tokens one conversation may have; None: as many as its turns take.

    Equal shares, so that which conversation came first decides nothing.
    """
    if config.max_tokens is None:
        return None
    return max(1, config.max_tokens // num_conversations)


def end_after(
    turns: Sequence[Turn], config: SelfchatConfig, share: int | None
) -> ConversationEnd | None:
    """Return why a conversation ends after these turns, or None; its room is checked elsewhere."""
    if not turns:
        return None
    if not turns[-1].text.strip():
        return "empty"
    if not config.keep_looping and find_loop([turn.text for turn in turns]) is not None:
        return "loop"
    if len(turns) >= config.turns:
        return "max_turns"
    if share is not None and sum(len(turn.tokens.ids) for turn in turns) >= share:
        return "budget"
    return None

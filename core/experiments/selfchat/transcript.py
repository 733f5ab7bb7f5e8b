"""What a self-chat leaves behind: turns with their tokens, and the conversations they form.

A transcript is JSON, one turn per line; see `turn_row`. Torch-free: whoever draws or exports
a self-chat reads it through this module.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from runs.errors import Corrupt

VERSION = 1

Side = Literal["a", "b"]
TurnFinish = Literal["stop", "length"]
# max_turns: all asked for were taken. loop: the speakers repeat themselves. context: the next
# turn would not fit. budget: the run's time or tokens are spent. empty: a turn without text.
ConversationEnd = Literal["max_turns", "loop", "context", "budget", "empty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One cell of the grid: which checkpoints talk, and how their tokens are drawn.

    stage, step: of the checkpoint, where several of one run are compared; else None.
    """

    index: int
    model_a: str
    model_b: str
    temperature: float
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    stage: str | None = None
    step: int | None = None

    @property
    def label(self) -> str:
        """A short name: the settings that a reader tells cells apart by."""
        parts = [f"{self.stage}@{self.step}"] if self.step is not None else []
        parts += [f"T={self.temperature:g}"]
        parts += [f"k={self.top_k}"] if self.top_k is not None else []
        parts += [f"p={self.top_p:g}"] if self.top_p is not None else []
        parts += [f"min-p={self.min_p:g}"] if self.min_p is not None else []
        parts += [f"penalty={self.repetition_penalty:g}"] if self.repetition_penalty != 1 else []
        return " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTrace:
    """The tokens of one turn, a column per quantity; all columns are equally long.

    Entropies and surprisals are in nats, of the model's own distribution at temperature 1.
    rank 0 is the likeliest token. is_forced marks tokens that a tool wrote: no draw, no choice.
    top_ids and top_probs hold each token's alternatives, likeliest first.
    """

    ids: tuple[int, ...]
    entropy_nats: tuple[float, ...]
    surprisal_nats: tuple[float, ...]
    rank: tuple[int, ...]
    is_forced: tuple[bool, ...]
    top_ids: tuple[tuple[int, ...], ...] = ()
    top_probs: tuple[tuple[float, ...], ...] = ()
    # Surprisals of the same tokens under the other model, None when one model plays both sides.
    other_surprisal_nats: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of a conversation.

    conversation: its number over the whole experiment. index: 0 is the first answer to the topic.
    embedding: mean of the last hidden states over the turn's text read alone, of side a's model
        for every turn, so that turns of two models can be compared; shape (n_embd,).
    wall_s: time to the end of the turn since its conversation was ready for it; absent in a
        sorted transcript, whose bytes depend on the settings alone.
    """

    conversation: int
    index: int
    side: Side
    text: str
    tokens: TokenTrace
    finish: TurnFinish
    wall_s: float | None = None
    embedding: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The turns that grew from one topic under one setting with one seed.

    Conversations with equal topic and seed under different settings are pairs.
    topic_embedding: like a turn's, of the topic alone.
    """

    number: int
    setting: int
    seed: int
    topic: str
    turns: tuple[Turn, ...] = ()
    end: ConversationEnd | None = None
    topic_embedding: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Everything that one self-chat measured, in the order of its numbers."""

    settings: tuple[Setting, ...]
    conversations: tuple[Conversation, ...]

    def of_setting(self, index: int) -> tuple[Conversation, ...]:
        """Return the conversations under one setting."""
        return tuple(one for one in self.conversations if one.setting == index)


def turn_row(turn: Turn) -> dict[str, Any]:
    """Return a turn as one line of a transcript holds it; what is absent is left out."""
    row = asdict(turn)
    tokens = {name: value for name, value in row.pop("tokens").items() if value is not None}
    known = {name: value for name, value in row.items() if value is not None}
    return {"v": VERSION, "kind": "turn", **known, "tokens": tokens}


def read_turns(path: Path) -> list[Turn]:
    """Return the turns of a transcript; a last line cut off by a kill is left out.

    Raises:
        Corrupt: any other line is no turn.
    """
    lines = path.read_bytes().split(b"\n")
    turns = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            turns.append(parse_turn(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            raise Corrupt(f"no turn of a self-chat on line {number} of {path}") from None
    return turns


def parse_turn(row: Mapping[str, Any]) -> Turn:
    """Return the turn that a row of a transcript holds.

    Raises:
        KeyError, TypeError: a value is missing or of another type.
    """
    tokens = row["tokens"]
    columns: dict[str, Any] = {
        name: tuple(tokens[name])
        for name in ("ids", "entropy_nats", "surprisal_nats", "rank", "is_forced")
    }
    others = tokens.get("other_surprisal_nats")
    embedding = row.get("embedding")
    return Turn(
        conversation=int(row["conversation"]),
        index=int(row["index"]),
        side=row["side"],
        text=str(row["text"]),
        tokens=TokenTrace(
            **columns,
            top_ids=tuple(map(tuple, tokens.get("top_ids", ()))),
            top_probs=tuple(map(tuple, tokens.get("top_probs", ()))),
            other_surprisal_nats=None if others is None else tuple(others),
        ),
        finish=row["finish"],
        wall_s=None if row.get("wall_s") is None else float(row["wall_s"]),
        embedding=None if embedding is None else tuple(embedding),
    )


def with_turns(
    conversations: Sequence[Conversation], turns: Iterable[Turn]
) -> tuple[Conversation, ...]:
    """Return the conversations with their turns in order; the last of two equal indexes counts."""
    known: dict[int, dict[int, Turn]] = defaultdict(dict)
    for turn in turns:
        known[turn.conversation][turn.index] = turn
    return tuple(
        replace(one, turns=tuple(turn for _, turn in sorted(known[one.number].items())))
        for one in conversations
    )

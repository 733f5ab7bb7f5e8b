"""The measures of a turn, a conversation, one side of it, and a whole experiment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from core.experiments.measures import diversity
from core.experiments.measures.metrics import METRICS, Passage, Scope
from core.experiments.measures.words import words
from core.experiments.selfchat.transcript import Conversation, Experiment, Side

# Values by metric name; None where a metric is not defined.
Measures = Mapping[str, float | None]


def measure_turn(
    conversation: Conversation, index: int, *, only: Sequence[str] | None = None
) -> Measures:
    """Return the measures of scope turn of the turn at a place of a conversation.

    only: the names of those to take; None takes all.
    """
    turn = conversation.turns[index]
    passage = Passage(
        turns=(turn,),
        words=(words(turn.text),),
        before=conversation.turns[index - 1] if index else None,
        topic_embedding=conversation.topic_embedding,
    )
    return _measure(passage, ("turn",), only)


def measure_conversation(
    conversation: Conversation, *, side: Side | None = None, only: Sequence[str] | None = None
) -> Measures:
    """Return the measures of a conversation, or of the turns of one side of it.

    only: the names of those to take; None takes all.
    """
    turns = tuple(one for one in conversation.turns if side in (None, one.side))
    passage = Passage(
        turns=turns,
        words=tuple(words(turn.text) for turn in turns),
        topic_embedding=conversation.topic_embedding,
    )
    return _measure(passage, ("turn", "conversation"), only)


def measure_all(experiment: Experiment) -> dict[int, Measures]:
    """Return the measures of every conversation by its number, self-BLEU among them."""
    groups: dict[tuple[int, str], list[Conversation]] = defaultdict(list)
    for one in experiment.conversations:
        groups[one.setting, one.topic].append(one)
    found: dict[int, Measures] = {}
    for group in groups.values():
        texts = [words("\n".join(turn.text for turn in one.turns)) for one in group]
        scores = diversity.self_bleu(texts)
        for conversation, score in zip(group, scores, strict=True):
            found[conversation.number] = {**measure_conversation(conversation), "self_bleu": score}
    return found


def _measure(
    passage: Passage, scopes: Sequence[Scope], only: Sequence[str] | None
) -> dict[str, float | None]:
    return {
        one.name: one.measure(passage)
        for one in METRICS
        if one.measure is not None and one.scope in scopes and (only is None or one.name in only)
    }

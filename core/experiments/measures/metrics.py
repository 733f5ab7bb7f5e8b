"""The table of the measures of a self-chat: name, unit, meaning and how each is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from core.experiments.measures import diversity, entropy, repetition, similarity
from core.experiments.selfchat.transcript import Turn

# turn: of turns and conversations. conversation: of these alone. group: of a conversation
# among those with the same topic and setting.
Scope = Literal["turn", "conversation", "group"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Turns that are measured together: a conversation, one side of it, or a single turn.

    words: of each turn. before: the turn that a single one follows.
    """

    turns: tuple[Turn, ...]
    words: tuple[tuple[str, ...], ...]
    before: Turn | None = None
    topic_embedding: tuple[float, ...] | None = None

    @property
    def all_words(self) -> tuple[str, ...]:
        """The words of all turns in order."""
        return tuple(word for turn in self.words for word in turn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measure.

    measure: None for what needs other conversations. better: None where it depends on the aim.
    """

    name: str
    unit: str
    definition: str
    measure: Callable[[Passage], float | None] | None
    better: Literal["more", "less"] | None = None
    scope: Scope = "turn"


def _of_turns(
    measure: Callable[[Sequence[Turn]], float | None],
) -> Callable[[Passage], float | None]:
    return lambda passage: measure(passage.turns)


def _distinct(n: int) -> Callable[[Passage], float | None]:
    return lambda passage: diversity.distinct(passage.words, n)


def _has_loop(passage: Passage) -> float | None:
    if not passage.turns:
        return None
    return float(repetition.first_loop([turn.text for turn in passage.turns]) is not None)


def _loop_onset(passage: Passage) -> float | None:
    loop = repetition.first_loop([turn.text for turn in passage.turns])
    return None if loop is None else float(passage.turns[loop.onset_turn].index)


def _similarity(passage: Passage) -> float | None:
    before = () if passage.before is None else (passage.before,)
    return similarity.similarity_to_previous((*before, *passage.turns))


METRICS: tuple[Metric, ...] = (
    Metric(
        name="entropy_bits",
        unit="bits/token",
        definition="mean entropy of the next-token distribution at temperature 1",
        measure=_of_turns(entropy.mean_entropy_bits),
    ),
    Metric(
        name="entropy_nats",
        unit="nats/token",
        definition="the same in nats",
        measure=_of_turns(entropy.mean_entropy_nats),
    ),
    Metric(
        name="median_entropy_bits",
        unit="bits/token",
        definition="the entropy that half of the tokens exceed",
        measure=_of_turns(entropy.median_entropy_bits),
    ),
    Metric(
        name="median_entropy_nats",
        unit="nats/token",
        definition="the same in nats",
        measure=_of_turns(entropy.median_entropy_nats),
    ),
    Metric(
        name="surprisal_nats",
        unit="nats/token",
        definition="mean -ln p of the tokens taken",
        measure=_of_turns(entropy.mean_surprisal_nats),
    ),
    Metric(
        name="probability",
        unit="share",
        definition="mean probability of the tokens taken",
        measure=_of_turns(entropy.mean_probability),
    ),
    Metric(
        name="rank",
        unit="places",
        definition="mean rank of the tokens taken; 0 is the likeliest",
        measure=_of_turns(entropy.mean_rank),
    ),
    Metric(
        name="perplexity",
        unit="choices",
        definition="exp of the mean surprisal under the model that wrote the tokens",
        measure=_of_turns(entropy.perplexity),
    ),
    Metric(
        name="other_perplexity",
        unit="choices",
        definition="exp of the mean surprisal of the same tokens under the other model",
        measure=_of_turns(entropy.other_perplexity),
    ),
    Metric(
        name="num_tokens",
        unit="tokens",
        definition="tokens, those of tools included",
        measure=lambda passage: float(sum(len(turn.tokens.ids) for turn in passage.turns)),
    ),
    Metric(
        name="num_words",
        unit="words",
        definition="runs of letters, marks and digits; Han characters and kana one each",
        measure=lambda passage: float(len(passage.all_words)),
    ),
    *(
        Metric(
            name=f"distinct_{n}",
            unit="share",
            definition=f"different word {n}-grams over words, all turns together",
            measure=_distinct(n),
            better="more",
        )
        for n in (1, 2, 3)
    ),
    Metric(
        name="type_token_ratio",
        unit="share",
        definition="different words over words within a turn, mean over turns",
        measure=lambda passage: diversity.type_token_ratio(passage.words),
        better="more",
    ),
    Metric(
        name="mtld",
        unit="words",
        definition="mean stretch of words with a type-token ratio above 0.72",
        measure=lambda passage: diversity.mtld(passage.all_words),
        better="more",
    ),
    Metric(
        name="longest_repeat_tokens",
        unit="tokens",
        definition="longest run of token ids that stands twice",
        measure=lambda passage: repetition.longest_repeat(
            [turn.tokens.ids for turn in passage.turns]
        ),
        better="less",
    ),
    Metric(
        name="compression_ratio",
        unit="ratio",
        definition="bytes of the text over its bytes under zlib",
        measure=lambda passage: repetition.compression_ratio([one.text for one in passage.turns]),
        better="less",
    ),
    Metric(
        name="similarity_to_previous",
        unit="cosine",
        definition="cosine of a turn's embedding with that of the turn before, mean over turns",
        measure=_similarity,
    ),
    Metric(
        name="topic_drift",
        unit="1 - cosine",
        definition="1 minus the cosine of the last turn's embedding with the topic's",
        measure=lambda passage: similarity.topic_drift(passage.turns, passage.topic_embedding),
    ),
    Metric(
        name="num_turns",
        unit="turns",
        definition="turns taken",
        measure=lambda passage: float(len(passage.turns)),
        scope="conversation",
    ),
    Metric(
        name="entropy_first_bits",
        unit="bits/token",
        definition="mean entropy of the first turn",
        measure=_of_turns(entropy.first_entropy_bits),
        scope="conversation",
    ),
    Metric(
        name="entropy_last_bits",
        unit="bits/token",
        definition="mean entropy of the last turn of several",
        measure=_of_turns(entropy.last_entropy_bits),
        scope="conversation",
    ),
    Metric(
        name="entropy_change_bits",
        unit="bits/token",
        definition="mean entropy of the last turn minus that of the first",
        measure=_of_turns(entropy.entropy_change_bits),
        scope="conversation",
    ),
    Metric(
        name="entropy_slope_bits",
        unit="bits/turn",
        definition="least-squares slope of the turns' mean entropies",
        measure=_of_turns(entropy.entropy_slope_bits),
        scope="conversation",
    ),
    Metric(
        name="has_loop",
        unit="share",
        definition="1 where the turns go in circles, else 0",
        measure=_has_loop,
        better="less",
        scope="conversation",
    ),
    Metric(
        name="loop_onset_turn",
        unit="turn",
        definition="index of the first turn that repeats; none without a loop",
        measure=_loop_onset,
        scope="conversation",
    ),
    Metric(
        name="self_bleu",
        unit="BLEU-4",
        definition="BLEU of a conversation against those of other seeds, same topic and setting",
        measure=None,
        better="less",
        scope="group",
    ),
)

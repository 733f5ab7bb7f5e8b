"""Conversations as HTML, token by token: how unsure the model was is in colour, line and title."""

from __future__ import annotations

from itertools import zip_longest

from core.experiments.measures.entropy import mean_entropy_bits
from core.experiments.measures.summary import SettingSummary, Summary
from core.experiments.report.figures import END_WORDS, num_tokens
from core.experiments.report.markup import Markup, join, tag
from core.experiments.report.pieces import pieces_of, token_line
from core.experiments.report.strips import LEVEL_NAMES, entropies_bits, level_of
from core.experiments.selfchat.transcript import Conversation, Experiment, Setting, Turn
from core.tokenizer import Tokenizer

# A token takes about 200 bytes with its title: the page stays near 5 MB at most.
MAX_TOKENS = 20_000
MAX_CONVERSATIONS = 40
NUM_ALTERNATIVES = 3


def transcripts(experiment: Experiment, summary: Summary, tokenizer: Tokenizer | None) -> Markup:
    """Return the conversations that fit, each folded, under their rule and a legend."""
    chosen = choose(experiment)
    if not chosen:
        return Markup()
    total = len(experiment.conversations)
    rule = (
        f"All {total} conversations."
        if len(chosen) == total
        else f"{len(chosen)} of {total} conversations: the first of every setting, then the second "
        f"of every one, up to {MAX_CONVERSATIONS} conversations or {MAX_TOKENS:,} tokens. "
        "The exports hold all."
    )
    keys = [
        tag("span", tag("span", "ab", class_=f"e{level}"), f" {name}")
        for level, name in enumerate(LEVEL_NAMES)
    ]
    hint = "Point at a token, or touch it, for its figures; rank 0 is the likeliest."
    parts = [tag("p", rule, " ", hint, class_="fine")]
    parts.append(tag("p", "Entropy:", *keys, class_="legend fine"))
    settings = {one.setting.index: one for one in summary.settings}
    for place, one in enumerate(chosen):
        folded = _conversation(one, settings[one.setting], tokenizer)
        parts.append(tag("details", folded, open=place == 0))
    return join(parts)


def choose(experiment: Experiment) -> tuple[Conversation, ...]:
    """Return the conversations to show: settings in turn, until the room is taken."""
    queues = [experiment.of_setting(one.index) for one in experiment.settings]
    in_turn = [one for group in zip_longest(*queues) for one in group if one is not None]
    chosen: list[Conversation] = []
    room = MAX_TOKENS
    for one in in_turn:
        room -= num_tokens(one)
        if room < 0 or len(chosen) == MAX_CONVERSATIONS:
            break
        chosen.append(one)
    return tuple(chosen)


def _conversation(one: Conversation, under: SettingSummary, tokenizer: Tokenizer | None) -> Markup:
    told = (
        f"{under.name}, seed {one.seed}, {len(one.turns)} turns, ended {END_WORDS[one.end]}"
        f"{_bits(mean_entropy_bits(one.turns))}"
    )
    head = tag(
        "summary", tag("strong", f"#{one.number} {one.topic}", dir="auto"), " ",
        tag("span", told, class_="fine"),
    )  # fmt: skip
    return join([head, *(_turn(turn, under.setting, tokenizer) for turn in one.turns)])


def _turn(turn: Turn, setting: Setting, tokenizer: Tokenizer | None) -> Markup:
    model = setting.model_a if turn.side == "a" else setting.model_b
    cut = ", cut at its length" if turn.finish == "length" else ""
    told = f" {model}, turn {turn.index + 1}, {len(turn.tokens.ids)} tokens"
    told += f"{_bits(mean_entropy_bits([turn]))}{cut}"
    said = turn.text if tokenizer is None else _tokens(turn, tokenizer)
    return tag(
        "div",
        tag("p", tag("strong", turn.side.upper()), told, class_="who"),
        tag("p", said, class_="said", dir="auto"),
        class_=f"turn {turn.side}",
    )


def _tokens(turn: Turn, tokenizer: Tokenizer) -> Markup:
    spans = []
    pieces = pieces_of(turn.tokens.ids, tokenizer)
    for index, (piece, bits) in enumerate(zip(pieces, entropies_bits(turn.tokens), strict=True)):
        # A part of a character, which shows with its last token, has nothing to point at.
        if piece:
            kind = "forced" if bits is None else f"e{level_of(bits)}"
            title = token_line(turn.tokens, index, tokenizer, NUM_ALTERNATIVES)
            spans.append(tag("span", piece, class_=kind, title=title))
    return join(spans)


def _bits(bits: float | None) -> str:
    return "" if bits is None else f", {bits:.2f} bits per token"

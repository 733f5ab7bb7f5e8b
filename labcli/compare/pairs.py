"""Every two answers to one prompt: where they part, and how far their models are apart there."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from labcli.compare.columns import Column
from labcli.text.cells import cut, grid
from labcli.text.terminal import printable

if TYPE_CHECKING:
    from core.experiments.compare.pairs import Pair
    from labcli.speaking.speaker import Speaker

# A prompt with more pairs shows those with its first column alone; JSON holds all.
MAX_SHOWN = 10
TOKEN_WIDTH = 16
HEADER = ("PAIR", "SHARED", "FIRST DIFFERENCE", "KL >", "KL <", "JS")
LEGEND = (
    "SHARED tokens; KL both ways and Jensen-Shannon of the models' next tokens:\n"
    "mean bits over the shared tokens and the first difference, at temperature 1"
)
SIGNS = {"<|assistant_end|>": "(end)", "<|python_start|>": "(tool)", None: "(nothing)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnPair:
    """Two columns of one prompt, the earlier one first."""

    a: Column
    b: Column
    pair: Pair

    def as_row(self) -> dict[str, Any]:
        """Return the pair as --json states it in the row of its later column."""
        return {"with": self.a.combination.label, **self.pair.as_row()}


def pair_columns(columns: Sequence[Column], speakers: Sequence[Speaker]) -> list[ColumnPair]:
    """Return every pair of columns that answer the same prompt and have a token each."""
    from core.experiments.compare.pairs import Said, pairs_of

    found: list[ColumnPair] = []
    for _, group in groupby(columns, key=lambda column: column.combination.prompt):
        members = [column for column in group if column.ids]
        said = [_said(Said, column, speakers) for column in members]
        found += [
            ColumnPair(a=members[first], b=members[second], pair=pair)
            for first, second, pair in pairs_of(said)
        ]
    return found


def shown_pairs(pairs: Sequence[ColumnPair]) -> list[ColumnPair]:
    """Return the pairs of one prompt that a person sees."""
    if len(pairs) <= MAX_SHOWN:
        return list(pairs)
    return [pair for pair in pairs if pair.a is pairs[0].a]


def pairs_table(pairs: Sequence[ColumnPair], width: int) -> str:
    """Return the pairs of one prompt as a table."""
    rows = [(_name(pair), *_cells(pair.pair)) for pair in pairs]
    return grid(HEADER, rows, right="lrlrrr", max_width=width)


def _said(kind: Callable[..., Any], column: Column, speakers: Sequence[Speaker]) -> Any:
    engine = speakers[column.combination.model].engine
    return kind(
        engine.model,
        engine.tokenizer,
        prompt_ids=column.prompt_ids,
        ids=column.ids,
        text=column.text,
    )


def _name(pair: ColumnPair) -> str:
    return f"{pair.a.combination.label}-{pair.b.combination.label}"


def _cells(pair: Pair) -> tuple[str, ...]:
    parting = pair.parting
    if parting is None:
        at = "none" if pair.text_at is None else f"character {pair.text_at}"
        return "-", f"{at}; the tokenizers differ", "-", "-", "-"
    parts = "none"
    if not parting.is_same:
        parts = f"{token_text(parting.text_a)} | {token_text(parting.text_b)}"
    if pair.divergence is None:
        return str(parting.num_shared), parts, "-", "-", "-"
    found = pair.divergence
    columns = (found.kl_ab_nats, found.kl_ba_nats, found.js_nats)
    means = [math.fsum(nats) / len(nats) / math.log(2) for nats in columns]
    return str(parting.num_shared), parts, *(f"{mean:.3f}" for mean in means)


def token_text(text: str | None) -> str:
    """Return a token in quotes, escaped and cut; special ones and none by a word."""
    if text in SIGNS:
        return SIGNS[text]
    assert text is not None
    quoted = json.dumps(printable(text), ensure_ascii=False)
    return cut(quoted, TOKEN_WIDTH)

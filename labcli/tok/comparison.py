"""What `labcli tok compare` shows: counts, shared tokens, stretches and lines that differ. Pure."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.inspection.compression import num_shared
from core.inspection.difference import Lines, Stretches
from core.inspection.explained import Explained
from core.inspection.visible import visible
from core.tokenizer import Tokenizer
from labcli.text.cells import cut, grid
from labcli.text.figures import ABSENT, figure, percent
from labcli.tok.views import SEPARATOR

if TYPE_CHECKING:
    from labcli.tok.refs import NamedTokenizer

MAX_NAME_CELLS = 16
MAX_STRETCH_CELLS = 28


def distinct(names: Sequence[str]) -> list[str]:
    """Return names for the heads of columns: short, and numbered where they repeat."""
    short = [cut(name, MAX_NAME_CELLS) for name in names]
    seen: Counter[str] = Counter()
    out = []
    for name in short:
        seen[name] += 1
        out.append(name if short.count(name) == 1 else f"{name}#{seen[name]}")
    return out


def counts_objects(
    named: Sequence[NamedTokenizer], explained: Sequence[Explained]
) -> list[dict[str, Any]]:
    """Return the counts of one text under every tokenizer."""
    return [
        {
            "tokenizer": entry.name,
            "source": entry.source,
            "vocab_size": entry.tokenizer.vocab_size,
            "num_tokens": one.num_tokens,
            "num_distinct": one.num_distinct,
            "bytes_per_token": _ratio(one.num_bytes, one.num_tokens),
            "chars_per_token": _ratio(len(one.text), one.num_tokens),
            "tokens_per_word": _ratio(one.num_tokens, len(one.text.split())),
            "num_cut_characters": len(one.cut_indices()),
        }
        for entry, one in zip(named, explained, strict=True)
    ]


def counts_table(
    names: Sequence[str],
    named: Sequence[NamedTokenizer],
    explained: Sequence[Explained],
    max_width: int | None,
) -> str:
    """Return a row per tokenizer."""
    rows = [
        (
            name,
            f"{row['vocab_size']:,}",
            f"{row['num_tokens']:,}",
            figure(row["bytes_per_token"], 2),
            figure(row["chars_per_token"], 2),
            figure(row["tokens_per_word"], 2),
            f"{row['num_cut_characters']:,}",
        )
        for name, row in zip(names, counts_objects(named, explained), strict=True)
    ]
    header = ("tokenizer", "ids", "tokens", "bytes/tok", "chars/tok", "tok/word", "not UTF-8")
    return grid(header, rows, right=" rrrrrr", max_width=max_width)


def overlap_objects(named: Sequence[NamedTokenizer]) -> list[dict[str, Any]]:
    """Return how many tokens every two vocabularies share, specials aside."""
    return [
        {
            "a": one.name,
            "b": other.name,
            "num_shared": num_shared(one.tokenizer, other.tokenizer),
        }
        for one, other in itertools.combinations(named, 2)
    ]


def overlap_table(
    names: Sequence[str], tokenizers: Sequence[Tokenizer], max_width: int | None
) -> str:
    """Return a row per tokenizer: the share of its tokens that each other one has too."""
    rows = []
    for name, one in zip(names, tokenizers, strict=True):
        shares = [
            ABSENT if other is one else percent(num_shared(one, other) / len(one.tokens))
            for other in tokenizers
        ]
        rows.append((name, *shares))
    header = ("its tokens are also in", *names)
    return grid(header, rows, right=" " + "r" * len(names), max_width=max_width)


def differences_table(
    names: Sequence[str],
    explained: Sequence[Explained],
    stretches: Stretches,
    limit: int,
    max_width: int | None,
) -> str:
    """Return a row per stretch that is cut differently: the tokens of each tokenizer."""
    shown = range(min(limit, len(stretches.starts)))
    rows = [
        (
            str(stretches.starts[index]),
            *(cut(_segments(one, stretches, index), MAX_STRETCH_CELLS) for one in explained),
        )
        for index in shown
    ]
    return grid(("byte", *names), rows, right="r", max_width=max_width)


def difference_objects(
    explained: Sequence[Explained], stretches: Stretches, limit: int
) -> list[dict[str, Any]]:
    """Return the first stretches that are cut differently."""
    return [
        {
            "start": int(stretches.starts[index]),
            "end": int(stretches.ends[index]),
            "tokens": [
                [
                    {"id": int(one.ids[at]), "bytes": one.token(at).hex()}
                    for at in _indices(one, stretches, index)
                ]
                for one in explained
            ],
        }
        for index in range(min(limit, len(stretches.starts)))
    ]


def lines_table(
    names: Sequence[str], explained: Explained, lines: Lines, limit: int, max_width: int | None
) -> str:
    """Return the lines of a text on which the numbers of tokens differ most."""
    rows = [
        (
            str(row["line"]),
            *(f"{count:,}" for count in row["num_tokens"]),
            visible(explained.data[row["start"] : row["end"]].rstrip(b"\n"))[:200],
        )
        for row in line_objects(explained, lines, limit)
    ]
    return grid(("line", *names, "text"), rows, right="r" + "r" * len(names), max_width=max_width)


def line_objects(explained: Explained, lines: Lines, limit: int) -> list[dict[str, Any]]:
    """Return the lines with the largest differences, largest first."""
    order = (-lines.spread).argsort(kind="stable")[:limit]
    return [
        {
            "line": int(index) + 1,
            "start": int(lines.starts[index]),
            "end": int(lines.ends[index]),
            "num_tokens": lines.num_tokens[:, index].tolist(),
        }
        for index in order
        if lines.spread[index]
    ]


def _segments(explained: Explained, stretches: Stretches, index: int) -> str:
    tokens = [explained.token(at) for at in _indices(explained, stretches, index)]
    return SEPARATOR.join(map(visible, tokens))


def _indices(explained: Explained, stretches: Stretches, index: int) -> range:
    first = explained.starts.searchsorted(stretches.starts[index], side="left")
    last = explained.starts.searchsorted(stretches.ends[index], side="left")
    return range(int(first), int(last))


def _ratio(above: float, below: float) -> float | None:
    return above / below if below else None

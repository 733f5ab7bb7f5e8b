"""What reading another tool's vocabulary gives: our tokenizer, and what became of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.tokenizer import SPECIAL_TOKENS, Tokenizer
from core.vocab.recover import merges_of
from runs.errors import Corrupt, UsageError

VocabFormat = Literal["lab", "tiktoken", "hf", "nanochat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A tokenizer with our nine special tokens, and in which ways it differs from its source."""

    tokenizer: Tokenizer
    format: VocabFormat
    dropped_specials: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def adopt(
    ranks: Mapping[bytes, int],
    *,
    pattern: str,
    form: VocabFormat,
    name: str,
    specials: Mapping[str, int] | None = None,
    notes: Iterable[str] = (),
) -> Imported:
    """Return the tokenizer of ranks that another tool wrote; ids follow the order of the ranks.

    Raises:
        Corrupt: the tokens do not form a vocabulary.
    """
    tokens = sorted(ranks, key=ranks.__getitem__)
    said = list(notes)
    if len(set(ranks.values())) < len(tokens):
        raise Corrupt(f"{name} gives the same rank to two tokens; get the file again")
    moved = next((index for index, token in enumerate(tokens) if ranks[token] != index), None)
    if moved is not None:
        said.append(
            f"ids are renumbered: the source's are not 0..{len(tokens) - 1}; "
            f"its id {ranks[tokens[moved]]} is {moved} here"
        )
    facts = {"imported_from": name, "format": form}
    tokenizer = _build(tokens, pattern, facts, name)
    dropped, changes = _compare_specials(tokenizer, specials or {})
    return Imported(
        tokenizer=tokenizer, format=form, dropped_specials=dropped, notes=(*said, *changes)
    )


def _build(tokens: list[bytes], pattern: str, facts: Mapping[str, Any], name: str) -> Tokenizer:
    try:
        # Checked first: merges are only looked for in what is a vocabulary.
        tokenizer = Tokenizer.from_tokens(tokens, pattern=pattern, trained_on=facts)
    except UsageError as error:
        raise Corrupt(f"{name}: {error}; get the file again") from None
    merges = merges_of(tokens)
    return tokenizer if merges is None else Tokenizer(merges, pattern=pattern, trained_on=facts)


def _compare_specials(
    tokenizer: Tokenizer, specials: Mapping[str, int]
) -> tuple[tuple[str, ...], list[str]]:
    """Return the source's special tokens that we do not have, and what to say about the others."""
    dropped = tuple(name for name in specials if name not in SPECIAL_TOKENS)
    moved = [
        name
        for name, index in specials.items()
        if name in SPECIAL_TOKENS and tokenizer.special(name) != index
    ]
    notes = []
    if moved:
        notes.append(f"special tokens have new ids: {', '.join(moved)}")
    return dropped, notes

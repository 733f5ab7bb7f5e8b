"""What the playground shows of a text: its tokens by each tokenizer, and where they differ.

Plain Python, made for thread workers; a Look is never changed after it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.inspection.difference import differing_stretches
from core.inspection.explained import Explained, explain_text, whole_characters
from core.inspection.languages import LanguageFertility, fertility_by_language, load_languages
from core.tokenizer import SPECIAL_TOKENS
from runs.errors import LabError
from tui.shell.glyphs import Glyphs
from tui.tokens.conversation_text import parse_conversation
from tui.tokens.rows import (
    Cells,
    Flags,
    Offsets,
    TokenRows,
    conversation_rows,
    special_rows,
    text_rows,
)
from tui.tokens.vocabularies import NamedTokenizer
from tui.tokens.words import brief

Lens = Literal["text", "conversation", "languages"]
LENSES: tuple[Lens, ...] = ("text", "conversation", "languages")


class Vocabulary:
    """A tokenizer with the cells of its tokens; `ref` is what it was asked for by."""

    def __init__(self, ref: str | None, named: NamedTokenizer, glyphs: Glyphs) -> None:
        self.ref = ref
        self.name = named.name
        self.source = named.source
        self.tokenizer = named.tokenizer
        self.cells = Cells(named.tokenizer, glyphs)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """A text in the tokens of one vocabulary; `explained` is absent for conversations.

    `is_apart` marks the tokens where the tokenizers cut the text differently, and `differences`
    holds the bytes where such stretches begin.
    """

    vocabulary: Vocabulary
    rows: TokenRows
    explained: Explained | None = None
    is_apart: Flags | None = None
    differences: Offsets | None = None
    is_fewest: bool = False

    @property
    def bytes_per_token(self) -> float | None:
        """Bytes of the text, over its tokens."""
        return len(self.rows.data) / self.rows.num_tokens if self.rows.num_tokens else None

    @property
    def num_learned(self) -> int | None:
        """Tokens with a loss; absent outside conversations."""
        return None if self.rows.learned is None else int(self.rows.learned.sum())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """One text through one lens; `problem` says why there are no columns, in one line."""

    lens: Lens
    num_chars: int
    num_bytes: int
    columns: tuple[Column, ...] = ()
    remark: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageBoard:
    """Tokens per language, for each vocabulary in the order of `names`."""

    names: tuple[str, ...]
    fertilities: tuple[tuple[LanguageFertility, ...], ...]


def look_at(
    text: str,
    vocabularies: Sequence[Vocabulary],
    lens: Lens,
    *,
    reads_specials: bool = False,
) -> Look:
    """Return what to show of a text; names of special tokens in it may stand for them."""
    text = whole_characters(text)
    num_chars, num_bytes = len(text), len(text.encode())
    try:
        if lens == "conversation":
            return _conversation(text, vocabularies, num_chars, num_bytes)
        if reads_specials:
            return _special(text, vocabularies, num_chars, num_bytes)
        return _plain(text, vocabularies, num_chars, num_bytes)
    except LabError as error:
        return Look(lens=lens, num_chars=num_chars, num_bytes=num_bytes, problem=str(error))


def language_board(vocabularies: Sequence[Vocabulary]) -> LanguageBoard:
    """Return how many tokens each vocabulary needs for the same content in each language."""
    languages = load_languages()
    return LanguageBoard(
        names=tuple(vocabulary.name for vocabulary in vocabularies),
        fertilities=tuple(
            fertility_by_language(vocabulary.tokenizer, languages) for vocabulary in vocabularies
        ),
    )


def _plain(text: str, vocabularies: Sequence[Vocabulary], num_chars: int, num_bytes: int) -> Look:
    explained = [explain_text(vocabulary.tokenizer, text) for vocabulary in vocabularies]
    fewest = min((one.num_tokens for one in explained), default=0)
    is_compared = len(explained) > 1
    stretches = differing_stretches(explained) if is_compared else None
    columns = []
    for vocabulary, one in zip(vocabularies, explained, strict=True):
        is_apart = None
        if stretches is not None:
            place = np.searchsorted(stretches.ends, one.starts, side="right")
            begins = np.append(stretches.starts, len(one.data) + 1)[place]
            is_apart = one.starts >= begins
        columns.append(
            Column(
                vocabulary=vocabulary,
                rows=text_rows(one),
                explained=one,
                is_apart=is_apart,
                differences=None if stretches is None else stretches.starts,
                is_fewest=is_compared and one.num_tokens == fewest,
            )
        )
    remark = _special_remark(text)
    if stretches is not None:
        remark = _difference_remark(explained, stretches.starts, stretches.ends) or remark
    return Look(
        lens="text",
        num_chars=num_chars,
        num_bytes=num_bytes,
        columns=tuple(columns),
        remark=remark,
    )


def _special(text: str, vocabularies: Sequence[Vocabulary], num_chars: int, num_bytes: int) -> Look:
    columns = [
        Column(vocabulary=vocabulary, rows=special_rows(vocabulary.tokenizer, text))
        for vocabulary in vocabularies
    ]
    return Look(
        lens="text",
        num_chars=num_chars,
        num_bytes=num_bytes,
        columns=tuple(columns),
        remark="names such as <|bos|> stand for special tokens; Ctrl+G reads them as text",
    )


def _conversation(
    text: str, vocabularies: Sequence[Vocabulary], num_chars: int, num_bytes: int
) -> Look:
    messages = parse_conversation(text)
    columns = [
        Column(vocabulary=vocabulary, rows=conversation_rows(vocabulary.tokenizer, messages))
        for vocabulary in vocabularies
    ]
    return Look(
        lens="conversation", num_chars=num_chars, num_bytes=num_bytes, columns=tuple(columns)
    )


def _difference_remark(explained: Sequence[Explained], starts: Offsets, ends: Offsets) -> str:
    if not len(starts):
        return "they cut this text at the same places"
    start, end = int(starts[0]), int(ends[0])
    counts = [
        int(one.starts.searchsorted(end) - one.starts.searchsorted(start)) for one in explained
    ]
    shown = brief(explained[0].data[start:end])
    told = " and ".join(str(count) for count in counts)
    return f"{len(starts):,} differences; the first at byte {start}: {shown} is {told} tokens"


def _special_remark(text: str) -> str:
    found = next((name for name in SPECIAL_TOKENS if name in text), None)
    return f"{found} in a text is plain text; Ctrl+G reads it as a special token" if found else ""

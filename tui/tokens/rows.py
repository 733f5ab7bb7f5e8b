"""The tokens of one text as arrays that can be drawn: spans, kinds, cells, rows of cells. Pure.

A megabyte is a quarter of a million tokens: nothing here is an object per token.
Shapes: n tokens, r rows. Offsets are bytes of `data`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len

from core.inspection.conversation import conversation_tokens
from core.inspection.explained import Explained
from core.inspection.visible import visible
from core.tokenizer import SPECIAL_TOKENS, Tokenizer
from tui.shell.glyphs import Glyphs

Offsets = NDArray[np.int64]
Flags = NDArray[np.bool_]
_ESCAPED = re.compile(r"\\(\\|n|t|r)")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenRows:
    """Tokens in the order of the text; `learned` is the loss mask, of conversations alone."""

    data: bytes
    ids: Offsets  # [n]
    starts: Offsets  # [n]
    ends: Offsets  # [n]
    cuts_character: Flags  # [n]
    is_special: Flags  # [n]
    learned: Flags | None = None  # [n]

    @property
    def num_tokens(self) -> int:
        """Tokens in the text."""
        return len(self.ids)

    def token(self, index: int) -> bytes:
        """Return the bytes of one token."""
        return self.data[int(self.starts[index]) : int(self.ends[index])]

    def index_near(self, offset: int) -> int:
        """Return the token that holds the byte at `offset`, else the one after it."""
        index = int(np.searchsorted(self.ends, offset, side="right"))
        return min(index, max(self.num_tokens - 1, 0))


def text_rows(explained: Explained) -> TokenRows:
    """Return the tokens of a text; none of them is special."""
    return TokenRows(
        data=explained.data,
        ids=explained.ids.astype(np.int64),
        starts=explained.starts,
        ends=explained.ends,
        cuts_character=explained.cuts_character,
        is_special=np.zeros(explained.num_tokens, dtype=bool),
    )


def conversation_rows(tokenizer: Tokenizer, messages: Sequence[Mapping[str, Any]]) -> TokenRows:
    """Return the tokens of a conversation, as training renders it.

    Raises:
        UsageError: the messages are no conversation.
    """
    tokens = conversation_tokens(tokenizer, messages)
    ends = np.cumsum([len(token.data) for token in tokens], dtype=np.int64)
    starts = np.concatenate(([0], ends[:-1])).astype(np.int64)
    return TokenRows(
        data=b"".join(token.data for token in tokens),
        ids=np.array([token.id for token in tokens], dtype=np.int64),
        starts=starts,
        ends=ends,
        cuts_character=np.array([not _is_utf8(token.data) for token in tokens], dtype=bool),
        is_special=np.array([token.is_special for token in tokens], dtype=bool),
        learned=np.array([token.mask for token in tokens], dtype=bool),
    )


def special_rows(tokenizer: Tokenizer, text: str) -> TokenRows:
    """Return the tokens of a text in which the names of special tokens stand for them."""
    names = "|".join(map(re.escape, SPECIAL_TOKENS))
    pieces = [
        np.array([tokenizer.special(piece)], dtype=np.int64)
        if piece in SPECIAL_TOKENS
        else tokenizer.bulk.encode(piece).astype(np.int64)
        for piece in re.split(f"({names})", text)
    ]
    ids = np.concatenate(pieces)
    found, place = np.unique(ids, return_inverse=True)
    tokens = [tokenizer.token_bytes(token_id) for token_id in found.tolist()]
    ends = np.cumsum(np.array([len(token) for token in tokens], dtype=np.int64)[place])
    return TokenRows(
        data=tokenizer.decode_bytes(ids.tolist()),
        ids=ids,
        starts=np.concatenate(([0], ends[:-1])).astype(np.int64)[: len(ids)],
        ends=ends,
        cuts_character=np.array([not _is_utf8(token) for token in tokens], dtype=bool)[place],
        is_special=ids >= tokenizer.vocab_size - tokenizer.num_specials,
    )


class Cells:
    """What each id of a vocabulary looks like in cells of a terminal; filled as ids occur."""

    def __init__(self, tokenizer: Tokenizer, glyphs: Glyphs) -> None:
        self._tokenizer = tokenizer
        self._marks = {"n": glyphs.line_feed, "t": glyphs.tab, "r": "\\r", "\\": "\\\\"}
        self._space = glyphs.space
        self._texts: dict[int, str] = {}
        self._widths = np.full(tokenizer.vocab_size, -1, dtype=np.int64)
        self._breaks = np.zeros(tokenizer.vocab_size, dtype=bool)

    def text(self, token_id: int) -> str:
        """Return the visible form of an id: white space as marks, other bytes as escapes."""
        known = self._texts.get(token_id)
        if known is None:
            data = self._tokenizer.token_bytes(token_id)
            escaped = visible(data).replace(" ", self._space)
            known = _ESCAPED.sub(lambda match: self._marks[match[1]], escaped)
            self._texts[token_id] = known
            self._widths[token_id] = cell_len(known)
            self._breaks[token_id] = b"\n" in data
        return known

    def measure(self, ids: Offsets) -> tuple[Offsets, Flags]:
        """Return the cells that tokens take, and after which of them a line ends, [n] each."""
        for token_id in np.unique(ids[self._widths[ids] < 0]).tolist():
            self.text(token_id)
        return self._widths[ids], self._breaks[ids]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowLayout:
    """Where rows begin, and the place of each token in its line of the text.

    Marks that alternate by place leave the other lines as they are when one is edited.
    """

    starts: Offsets  # [r]
    places: Offsets  # [n]

    @property
    def num_rows(self) -> int:
        """Rows of cells."""
        return len(self.starts)

    def row_of(self, index: int) -> int:
        """Return the row that a token is in."""
        return max(int(np.searchsorted(self.starts, index, side="right")) - 1, 0)

    def span(self, row: int) -> tuple[int, int]:
        """Return the first token of a row and the one after its last."""
        is_last = row + 1 == self.num_rows
        return int(self.starts[row]), len(self.places) if is_last else int(self.starts[row + 1])


def row_layout(widths: Offsets, is_last: Flags, columns: int) -> RowLayout:
    """Return tokens laid out in rows of so many cells.

    A row ends after a token that ends a line; a token wider than a row has one to itself.
    """
    num_tokens = len(widths)
    borders = np.concatenate(([0], np.cumsum(np.minimum(widths, columns))))
    line_ends = [*(np.flatnonzero(is_last) + 1).tolist(), num_tokens]
    starts: list[int] = []
    start = 0
    for line_end in line_ends:
        while start < line_end:
            starts.append(start)
            room = int(np.searchsorted(borders, borders[start] + columns, side="right")) - 1
            start = min(max(room, start + 1), line_end)
    indices = np.arange(num_tokens, dtype=np.int64)
    is_first = np.concatenate(([True], is_last))[:num_tokens]
    line_starts = np.maximum.accumulate(np.where(is_first, indices, 0))
    return RowLayout(starts=np.array(starts, dtype=np.int64), places=indices - line_starts)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True

"""Tokens per language for the same content, a row per language, columns per tokenizer."""

from __future__ import annotations

from rich.text import Text
from textual.reactive import reactive
from textual.widgets import DataTable

from tui.shell.glyphs import Glyphs
from tui.tokens.segmenting import LanguageBoard

_LANGUAGE_WIDTH = 16
_TOKENS_WIDTH = 12
_PREMIUM_WIDTH = 7


class LanguageTable(DataTable[Text]):
    """The fertility of the tokenizers over parallel text."""

    BINDING_GROUP_TITLE = "Languages"
    HELP = """\
How many tokens each tokenizer needs for the same content, nine articles of the Universal
Declaration of Human Rights, per language: the number, and beside it how many times the tokens of
English with the same tokenizer. Sorted by that of the first tokenizer, the dearest at the top.
"""

    board: reactive[LanguageBoard | None] = reactive(None)
    """The figures."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="languages", cursor_type="row", cell_padding=0)
        self._glyphs = glyphs

    def watch_board(self) -> None:
        """Fill the table anew."""
        self.clear(columns=True)
        if self.board is None or not self.board.fertilities:
            return
        self.add_column(" language", width=_LANGUAGE_WIDTH)
        for name in self.board.names:
            shown = self._glyphs.cut(name, _TOKENS_WIDTH - 1)
            self.add_column(_right(shown), width=_TOKENS_WIDTH)
            self.add_column(_right("x Eng"), width=_PREMIUM_WIDTH)
        first = self.board.fertilities[0]
        for place in sorted(range(len(first)), key=lambda place: -first[place].premium):
            cells = [Text(f" {first[place].language.name}", no_wrap=True)]
            for rows in self.board.fertilities:
                cells.append(_right(f"{rows[place].num_tokens:,}"))
                cells.append(_right(f"{rows[place].premium:.2f}"))
            self.add_row(*cells)


def _right(text: str) -> Text:
    return Text(text, justify="right", no_wrap=True)

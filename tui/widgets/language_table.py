"""Tokens per language for the same content, a row per language, columns per tokenizer."""

from __future__ import annotations

from rich.text import Text
from textual.reactive import reactive
from textual.widgets import DataTable

from tui.segmenting import LanguageBoard


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

    def __init__(self) -> None:
        super().__init__(id="languages", cursor_type="row", zebra_stripes=True)

    def watch_board(self) -> None:
        """Fill the table anew."""
        self.clear(columns=True)
        if self.board is None or not self.board.fertilities:
            return
        self.add_column("language", width=18)
        for name in self.board.names:
            self.add_column(Text(name, justify="right"))
            self.add_column(Text("x English", justify="right"))
            self.add_column(Text("bytes/token", justify="right"))
        first = self.board.fertilities[0]
        order = sorted(range(len(first)), key=lambda place: -first[place].premium)
        for place in order:
            cells = [Text(first[place].language.name, no_wrap=True)]
            for rows in self.board.fertilities:
                row = rows[place]
                cells += [
                    Text(f"{row.num_tokens:,}", justify="right"),
                    Text(f"{row.premium:.2f}", justify="right"),
                    Text(f"{row.bytes_per_token:.2f}", justify="right"),
                ]
            self.add_row(*cells)

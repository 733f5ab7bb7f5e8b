"""One tokenizer of the playground: its name, its counts, and the text in its tokens."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.reactive import reactive

from tui.shell.format import decimal
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, ToneLine
from tui.tokens.segmenting import Column
from tui.widgets.token_view import TokenView
from tui.widgets.toned import TonedWidget, spread


class ColumnHead(TonedWidget):
    """The name of a tokenizer and how many tokens it needs."""

    column: reactive[Column | None] = reactive(None)
    """The tokens."""

    def __init__(self, *, glyphs: Glyphs, name_shown: str) -> None:
        super().__init__()
        self._glyphs = glyphs
        self._name_shown = name_shown

    def render(self) -> Text:
        """Return the name, and below it the counts."""
        width = self.size.width
        name = Piece(self._glyphs.cut(self._name_shown, width), "strong")
        if self.column is None:
            return self.toned(ToneLine((name,)), ToneLine((Piece("no tokens yet", "quiet"),)))
        ids = Piece(f"{self.column.vocabulary.tokenizer.vocab_size:,} ids ", "quiet")
        return self.toned(
            spread((name,), (ids,), width),
            spread(*_counts(self.column, self._glyphs), width),
        )


def _counts(column: Column, glyphs: Glyphs) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Return the number of tokens, and what can be left out beside it."""
    mark = f"{glyphs.state('finished')} " if column.is_fewest else ""
    noun = "token" if column.rows.num_tokens == 1 else "tokens"
    left = (Piece(mark, "good"), Piece(f"{column.rows.num_tokens:,} {noun}", "active"))
    right: tuple[Piece, ...] = ()
    if column.num_learned is not None:
        right = (Piece(f"{column.num_learned:,} learned ", "good"),)
    elif column.bytes_per_token is not None:
        right = (Piece(f"{decimal(column.bytes_per_token, 2)} bytes/token "),)
    if column.is_fewest:
        right = (*right, Piece("fewest ", "good"))
    return left, right


class TokenColumn(Vertical):
    """A head and the tokens below it."""

    def __init__(self, *, glyphs: Glyphs, number: int, name: str) -> None:
        super().__init__(id=f"column-{number}")
        # Held, not queried: what is shown may come before they are there and while they leave.
        self.head = ColumnHead(glyphs=glyphs, name_shown=name)
        self.view = TokenView(glyphs=glyphs, number=number)

    def compose(self) -> ComposeResult:
        """Return the head and the tokens."""
        yield from (self.head, self.view)

    def show(self, column: Column) -> None:
        """Show other tokens."""
        self.head.column = column
        self.view.column = column

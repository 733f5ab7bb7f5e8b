"""The tokenizers of the playground side by side, their cursors at the same place of the text."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.containers import Horizontal

from tui.shell.glyphs import Glyphs
from tui.tokens.segmenting import Look, Vocabulary
from tui.widgets.token_column import TokenColumn
from tui.widgets.token_view import TokenView


class TokenBoard(Horizontal):
    """A column for each tokenizer."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="columns")
        self._glyphs = glyphs

    async def open(self, vocabularies: Sequence[Vocabulary]) -> None:
        """Make the columns of these tokenizers, without tokens yet."""
        await self.remove_children()
        await self.mount_all(
            TokenColumn(glyphs=self._glyphs, number=number, name=vocabulary.name)
            for number, vocabulary in enumerate(vocabularies)
        )

    def show(self, look: Look) -> bool:
        """Show the tokens of a text; return whether it is cut by the tokenizers that are shown."""
        columns = list(self.query(TokenColumn))
        if len(columns) != len(look.columns):
            return False
        for widget, column in zip(columns, look.columns, strict=True):
            widget.show(column)
        return True

    @property
    def active(self) -> TokenView | None:
        """The column of tokens that has the focus, else the first."""
        views = list(self.query(TokenView))
        return next((view for view in views if view.has_focus), next(iter(views), None))

    @on(TokenView.Moved)
    def follow_cursor(self, message: TokenView.Moved) -> None:
        """Show the same place with the other tokenizers."""
        column = message.view.column
        if column is None:
            return
        offset = int(column.rows.starts[message.index])
        for widget in self.query(TokenView):
            if widget is not message.view and widget.column is not None:
                widget.move_to(widget.column.rows.index_near(offset))

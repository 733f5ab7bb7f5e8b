"""All of one row beside its page, where the terminal has room for both; else over it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static


class DetailPane(VerticalScroll, can_focus=True):
    """A text that scrolls."""

    BINDING_GROUP_TITLE = "Detail"
    HELP = "All of the marked row. Up, down, Page Up and Page Down scroll."

    def __init__(self, *, widget_id: str = "detail") -> None:
        super().__init__(id=widget_id)
        self._shown = ""

    def compose(self) -> ComposeResult:
        """Return the text."""
        yield Static("", markup=False)

    def show(self, text: str) -> None:
        """Show another text, from its beginning."""
        if text != self._shown:
            self._shown = text
            self.query_one(Static).update(text)
            self.scroll_to(y=0, animate=False)


class DetailScreen(ModalScreen[None]):
    """All of one row, over its page."""

    CSS_PATH = "../screens/modal.tcss"
    BINDING_GROUP_TITLE = "Detail"
    HELP = "All of the row that was marked. Up and down scroll, Escape goes back."
    DEFAULT_CSS = """
    DetailScreen { align: center middle; }
    DetailScreen #dialog { width: 96%; max-width: 110; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "close", "Close", id="detail.close", tooltip="Go back."),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """Return the text in a frame."""
        with VerticalScroll(id="dialog", can_focus=True):
            yield Static(self._text, markup=False)

    def action_close(self) -> None:
        """Go back to the page."""
        self.dismiss(None)

"""The line above a comparison."""

from __future__ import annotations

from rich.text import Text

from tui.analysis.compare_page import ComparePage
from tui.shell.tones import Piece, ToneLine
from tui.widgets.toned import TonedWidget, spread


class CompareTitle(TonedWidget):
    """How many runs are compared, by what, and what is wrong, if anything."""

    def __init__(self) -> None:
        super().__init__(id="title")
        self._line = ToneLine(())
        self._problem = ""

    def show(self, page: ComparePage, problem: str) -> None:
        """Tell of a page."""
        left = [Piece(f"{len(page.names)} runs  ", "strong")]
        if page.found is not None:
            by = f"{page.found.metric} of {page.found.stage}"
            left += [Piece(by, "active"), Piece(f" over {page.found.axis}", "quiet")]
        right = tuple(Piece(f"  {text}", "quiet") for text in page.names[:3])
        more = (Piece(f"  and {len(page.names) - 3} more", "quiet"),) if len(page.names) > 3 else ()
        self._line = spread(tuple(left), (*right, *more), max(self.size.width, 20))
        self._problem = problem
        self.refresh(layout=True)

    def render(self) -> Text:
        """Return the line and, where there is one, the problem."""
        lines = [self._line]
        if self._problem:
            lines.append(ToneLine((Piece(self._problem, "error"),)))
        return self.toned(*lines)

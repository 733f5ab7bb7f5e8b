"""The filter of the runs table: a line to type in, what may come next, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Input, Static

from runs.views.filter_completion import Suggestion
from tui.listing.filtering import taken
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, ToneLine
from tui.widgets.toned import TonedWidget

GRAMMAR = "such as: val_bpb<0.9   tag:keep   depth=12 and not state:failed   created>2d"


class FilterInput(Input):
    """Where a filter is typed."""

    BINDING_GROUP_TITLE = "Filter"
    HELP = """\
The filter of the runs, as `labcli runs list` takes it: words that a name, tag, note, recipe or
state holds; tag:x, has:loss; depth=12, val_bpb<0.9, created>2d, elapsed<30m, name~regex; and, or,
not and parentheses. Terms side by side must all hold.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "accept", "Accept", id="filter.accept", tooltip="Take the suggestion."),
        Binding("down", "choose(1)", "Next", show=False, id="filter.next",
                tooltip="Go to the next suggestion."),
        Binding("up", "choose(-1)", "Previous", show=False, id="filter.previous",
                tooltip="Go to the suggestion before."),
        Binding("enter", "leave(True)", "Keep", id="filter.keep",
                tooltip="Keep the filter and go to the runs."),
        Binding("escape", "leave(False)", "Clear", id="filter.clear",
                tooltip="Clear the filter and go to the runs."),
    ]  # fmt: skip

    @dataclass
    class Accepted(Message):
        """The suggestion is to be taken."""

    @dataclass
    class Chosen(Message):
        """Another suggestion is to be chosen."""

        by: int

    @dataclass
    class Left(Message):
        """The person is done; the filter stays or goes."""

        is_kept: bool

    def action_accept(self) -> None:
        """Ask for the suggestion."""
        self.post_message(self.Accepted())

    def action_choose(self, by: int) -> None:
        """Ask for another suggestion."""
        self.post_message(self.Chosen(by))

    def action_leave(self, is_kept: bool) -> None:
        """Say that typing is over."""
        self.post_message(self.Left(is_kept))


class FilterHint(TonedWidget):
    """What may come next in the filter, and what is wrong with it."""

    problem: reactive[str] = reactive("")
    """Why the filter does not hold; one line."""
    suggestions: reactive[tuple[Suggestion, ...]] = reactive(())
    """What the word that is being typed may become."""
    chosen: reactive[int] = reactive(0)
    """The suggestion that Tab takes."""
    is_blank: reactive[bool] = reactive(True)
    """Whether nothing has been typed."""
    is_typing: reactive[bool] = reactive(False, toggle_class="-typing")
    """Whether somebody is typing: then there is room for both, so that nothing jumps."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="filter-hint")
        self._glyphs = glyphs

    def render(self) -> Text:
        """Return the lines: what may come next, and what is wrong; the latter alone at rest."""
        wrong = ToneLine(())
        if self.problem:
            text = self._glyphs.cut(f"{self._glyphs.alert} {self.problem}", self.size.width)
            wrong = ToneLine((Piece(text, "error"),))
        if not self.is_typing:
            return self.toned(wrong)
        if self.is_blank:
            return self.toned(ToneLine((Piece(GRAMMAR, "quiet"),)), wrong)
        return self.toned(ToneLine(self._options()), wrong)

    def _options(self) -> tuple[Piece, ...]:
        pieces: list[Piece] = []
        room = self.size.width
        for place, one in enumerate(self.suggestions[self.chosen :]):
            named, about = (f"[{one.text}]" if not place else f" {one.text} "), f"{one.about}  "
            room -= len(named) + len(about)
            if room < 0:
                break
            pieces += [Piece(named, "active" if not place else "plain"), Piece(about, "quiet")]
        return tuple(pieces)


class FilterLine(Vertical):
    """The filter: hidden while there is none, one line while it holds, two while it is typed."""

    @dataclass
    class Changed(Message):
        """The filter, or the place in it where something may be completed, is another one."""

        text: str
        cursor: int

    @dataclass
    class Closed(Message):
        """Typing is over; the runs want the keys."""

    count: reactive[str] = reactive("")
    """How many runs pass, in words."""

    field = getters.query_one(FilterInput)
    hint = getters.query_one(FilterHint)
    counted = getters.query_one("#filter-count", Static)

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="filter")
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        """Return the line and its hint."""
        with Horizontal(id="filter-row"):
            yield Static("/", id="filter-sign", markup=False)
            yield FilterInput(compact=True, id="filter-field", select_on_focus=False)
            yield Static("", id="filter-count", markup=False)
        yield FilterHint(glyphs=self._glyphs)

    def on_mount(self) -> None:
        """Begin hidden."""
        self.display = False
        self.hint.display = False

    @property
    def text(self) -> str:
        """The filter as it stands."""
        return self.field.value

    def open(self) -> None:
        """Show the line and let the person type."""
        self.display = True
        self.hint.display = self.hint.is_typing = True
        self.field.focus()
        self._tell()

    def clear(self) -> None:
        """Take the filter away."""
        self.field.value = ""
        self._close()

    def show_problem(self, problem: str) -> None:
        """Say what is wrong with the filter, or nothing any more."""
        self.hint.problem = problem
        # While nobody types, the line below is only there when something is wrong.
        self.hint.display = bool(problem) or self.hint.is_typing

    def show_suggestions(self, suggestions: tuple[Suggestion, ...]) -> None:
        """Offer what may come next."""
        self.hint.suggestions = suggestions
        self.hint.chosen = 0

    def watch_count(self) -> None:
        """Show how many runs pass."""
        if self.is_mounted:
            self.counted.update(self.count)

    @on(Input.Changed)
    def tell_change(self, event: Input.Changed) -> None:
        """Hand the new filter up."""
        event.stop()
        self._tell()

    @on(FilterInput.Accepted)
    def accept(self, event: FilterInput.Accepted) -> None:
        """Put the chosen suggestion in its place; without one, leave the line as Tab does."""
        event.stop()
        suggestions, chosen = self.hint.suggestions, self.hint.chosen
        if chosen < len(suggestions) and not self.hint.is_blank:
            self.field.value, self.field.cursor_position = taken(
                self.field.value, suggestions[chosen]
            )
        else:
            self._close()

    @on(FilterInput.Chosen)
    def choose(self, event: FilterInput.Chosen) -> None:
        """Choose another suggestion."""
        event.stop()
        last = max(len(self.hint.suggestions) - 1, 0)
        self.hint.chosen = min(max(self.hint.chosen + event.by, 0), last)

    @on(FilterInput.Left)
    def leave(self, event: FilterInput.Left) -> None:
        """Keep or clear the filter, and give the keys back."""
        event.stop()
        if event.is_kept:
            self._close()
        else:
            self.clear()

    def _tell(self) -> None:
        self.hint.is_blank = not self.field.value.strip()
        self.post_message(self.Changed(self.field.value, self.field.cursor_position))

    def _close(self) -> None:
        self.hint.is_typing = False
        self.hint.display = bool(self.hint.problem)
        self.display = bool(self.field.value.strip())
        self.post_message(self.Closed())

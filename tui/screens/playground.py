"""The tokenizer playground: a text and, as it is typed, its tokens by up to three tokenizers.

Thread workers (playground_work.py) post messages; the handlers here own the view.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.timer import Timer
from textual.widgets import Footer, Static, TextArea

from core.inspection.explained import whole_characters
from core.inspection.visible import visible
from runs.paths import LabHome
from tui.screens.ask_text import ask_text
from tui.screens.pick_tokenizers import TokenizerPicker
from tui.screens.playground_keys import PLAYGROUND_KEYS
from tui.screens.playground_work import TokenWork, check_file
from tui.shell.environment import Environment
from tui.tokens.messages import (
    BoardMade,
    Counted,
    FileRead,
    Looked,
    Told,
    VocabulariesLoaded,
)
from tui.tokens.sample_text import SAMPLE
from tui.tokens.segmenting import LENSES, Lens, Look, Vocabulary
from tui.tokens.vocabularies import CorpusCounts, Vocabularies
from tui.widgets.language_table import LanguageTable
from tui.widgets.playground_bars import PlaygroundTop, Remark
from tui.widgets.text_editor import TextEditor, is_editable
from tui.widgets.token_board import TokenBoard
from tui.widgets.token_detail import TokenDetail
from tui.widgets.token_view import TokenView

SHOWN_CHARS = 400
TELL_S = 0.1
TURNS_TO_TELL = 3
# Cutting this much takes a millisecond per tokenizer (measured), less than to ask a thread.
MAX_CUT_AT_ONCE_CHARS = 16_384


class PlaygroundScreen(TokenWork):
    """Text above, tokens below, all about one token beside."""

    CSS_PATH = "playground.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    BINDING_GROUP_TITLE = "Playground"
    HELP = """\
A text and its tokens by one to three tokenizers. Lenses: the plain text; the text as a conversation
(lines that begin with user: or assistant:, or JSON messages) with what the model learns of it; and
the tokens that each language needs.
"""
    BINDINGS: ClassVar[list[BindingType]] = [*PLAYGROUND_KEYS]

    top = getters.query_one(PlaygroundTop)
    editor = getters.query_one(TextEditor)
    aside = getters.query_one("#aside", Static)
    board = getters.query_one(TokenBoard)
    problem = getters.query_one("#problem", Static)
    languages = getters.query_one(LanguageTable)
    detail = getters.query_one(TokenDetail)
    remark = getters.query_one(Remark)

    def __init__(
        self,
        *,
        home: LabHome,
        environment: Environment,
        vocabularies: Vocabularies,
        tokenizers: Sequence[str] = (),
        file: Path | None = None,
    ) -> None:
        super().__init__(home=home, glyphs=environment.glyphs, vocabularies=vocabularies)
        self._wanted: tuple[str | None, ...] = tuple(tokenizers) or (None,)
        self._file = file
        self._warm: tuple[Vocabulary, ...] = ()
        self._counts: dict[str, CorpusCounts | None] = {}
        self._text = SAMPLE
        self._lens: Lens = "text"
        self.look: Look | None = None
        self._is_busy = False
        self._is_stale = False
        self._tell_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Return the panes."""
        yield PlaygroundTop()
        with Container(id="body"):
            yield TextEditor(SAMPLE, soft_wrap=True, show_line_numbers=False, tab_behavior="focus")
            yield Static(id="aside", markup=False)
            yield TokenBoard(glyphs=self.glyphs)
            yield Static("Loading the tokenizer ...", id="problem", markup=False)
            yield LanguageTable(glyphs=self.glyphs)
            yield TokenDetail()
        yield Remark(glyphs=self.glyphs)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Load the tokenizers, and the file if there is one."""
        self.set_class(True, "-problem")
        self.editor.focus()
        self.load(self._wanted)
        if self._file is not None:
            self.read_text_file(self._file)

    @property
    def is_settled(self) -> bool:
        """Whether the tokens of the present text are shown."""
        return bool(self.shown) and not self._is_busy and not self._is_stale

    @on(TextArea.Changed)
    async def take_typed(self, event: TextArea.Changed) -> None:
        """Look at what was typed."""
        if self.has_class("-large"):
            return
        self._text = event.text_area.text
        # One frame for the letter and its tokens; two take half as long again. Every widget tells
        # its change in a task of its own, so those are let run first.
        with self.app.batch_update():
            self.look_again()
            for _ in range(TURNS_TO_TELL):
                await asyncio.sleep(0)

    @on(TextEditor.Pasted)
    def take_paste(self, message: TextEditor.Pasted) -> None:
        """Look at a long paste."""
        self._take_text(message.text, "pasted")

    @on(FileRead)
    def take_file(self, message: FileRead) -> None:
        """Look at a file."""
        self._take_text(message.text, message.name)

    @on(VocabulariesLoaded)
    async def take_vocabularies(self, message: VocabulariesLoaded) -> None:
        """Make a column for each tokenizer."""
        if message.problem:
            self.notify(message.problem, severity="error", markup=False)
        if not message.found:
            self.problem.update(f"{message.problem}\n\nCtrl+T chooses another tokenizer.")
            return
        self.shown = message.found
        await self.board.open(self.shown)
        self.look_again()
        for vocabulary in self.shown:
            if vocabulary.source not in self._counts:
                self._counts[vocabulary.source] = None
                self.count(vocabulary)
        if self._lens == "languages":
            self.measure_languages(self.shown)

    @on(Looked)
    def show_look(self, message: Looked) -> None:
        """Show the tokens, and look again if the text has changed meanwhile."""
        self._is_busy = False
        self._warm = tuple(column.vocabulary for column in message.look.columns)
        self._show(message.look)
        if self._is_stale:
            self.look_again()

    def _show(self, look: Look) -> None:
        self.look = self.top.look = self.remark.look = look
        self.set_class(bool(look.problem), "-problem")
        if look.problem:
            self.problem.update(look.problem)
        if self.board.show(look):
            self._tell_soon()

    @on(TokenView.Moved)
    def follow_cursor(self, message: TokenView.Moved) -> None:
        """Tell of the token."""
        self._tell_of(message.view)

    def on_descendant_focus(self) -> None:
        """Tell of the token of the column that is focused."""
        if isinstance(self.focused, TokenView):
            self._tell_of(self.focused)

    @on(Told)
    def show_token(self, message: Told) -> None:
        """Show what is known of the token."""
        self.detail.show(message.lines)

    @on(Counted)
    def take_counts(self, message: Counted) -> None:
        """Tell how often the token occurs."""
        self._counts[message.vocabulary.source] = message.counts
        self._tell_of(self.board.active)

    @on(BoardMade)
    def show_languages(self, message: BoardMade) -> None:
        """Show the languages."""
        self.languages.board = message.board

    def look_again(self) -> None:
        """Segment the present text, now or when the last one is done."""
        self._is_stale = self._is_busy
        if self._is_busy or not self.shown:
            return
        # An encoder is built when it is first used, which takes a large vocabulary a second.
        if self._warm == self.shown and len(self._text) <= MAX_CUT_AT_ONCE_CHARS:
            self._show(self.look_at(self._text, self.shown, self._lens))
            return
        self._is_busy = True
        self.segment(self._text, self.shown, self._lens)

    def action_pick(self) -> None:
        """Choose tokenizers."""

        def chosen(refs: tuple[str, ...] | None) -> None:
            if refs:
                self.load(refs)

        present = [vocabulary.ref or vocabulary.name for vocabulary in self.shown]
        self.app.push_screen(TokenizerPicker(vocabularies=self.source, chosen=present), chosen)

    def action_lens(self) -> None:
        """Change to the next lens."""
        self._lens = LENSES[(LENSES.index(self._lens) + 1) % len(LENSES)]
        self.top.lens = self.remark.lens = self._lens
        self.set_class(self._lens == "languages", "-languages")
        if self._lens == "languages":
            self.languages.focus()
            self.measure_languages(self.shown)
        else:
            self.look_again()
            self.action_edit()

    def action_specials(self) -> None:
        """Read names of special tokens in the text as the tokens, or not any more."""
        self.reads_specials = not self.reads_specials
        self.look_again()

    def action_open(self) -> None:
        """Ask for a file."""
        ask_text(
            self,
            "Open a text file",
            hint="Enter  open     Esc  go back",
            check=check_file,
            then=lambda path: self.read_text_file(Path(path).expanduser()),
        )

    def action_clear(self) -> None:
        """Begin anew."""
        self._take_text("", "")

    def action_copy(self) -> None:
        """Copy the ids of the focused column, else of the first."""
        view = self.board.active
        if view is not None and view.column is not None:
            self.write_ids(view.column)

    def action_edit(self) -> None:
        """Go back to the text; where it cannot be edited, to its tokens."""
        view = self.board.active
        if not self.has_class("-large"):
            self.editor.focus()
        elif view is not None:
            view.focus()

    def _take_text(self, text: str, name: str) -> None:
        """Show a text: in the editor, or as tokens alone when that cannot hold it."""
        is_large = not is_editable(text)
        self.set_class(is_large, "-large")
        self._text = text
        if is_large:
            told = f"{name}: {len(text):,} characters, shown as tokens and not edited"
            self.aside.update(f"{told}\n\n{visible(whole_characters(text[:SHOWN_CHARS]).encode())}")
        else:
            self.editor.load_text(text)
        self.action_edit()
        self.look_again()

    def _tell_soon(self) -> None:
        """Tell of the token when nothing has been typed for a moment: keys come first."""
        if self._tell_timer is not None:
            self._tell_timer.stop()
        self._tell_timer = self.set_timer(TELL_S, lambda: self._tell_of(self.board.active))

    def _tell_of(self, view: TokenView | None) -> None:
        column = view.column if view is not None else None
        if view is not None and column is not None and column.rows.num_tokens:
            index = min(view.cursor, column.rows.num_tokens - 1)
            self.look_up(column, index, self._counts.get(column.vocabulary.source))

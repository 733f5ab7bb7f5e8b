"""One turn of a talk: the question, the answer as markdown while it comes, and what it took."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Markdown, Static

from tui.answering.talk import Turn, markdown_of, stats_words
from tui.shell.glyphs import Glyphs


class TurnView(Vertical, can_focus=True):
    """A turn, drawn; only what is new of its answer is added."""

    BINDING_GROUP_TITLE = "Turn"
    HELP = """\
A question and its answer. Up and down go to other turns; the keys below copy the answer, ask
again, or take the question back into the box to change it. Asking again and a changed question
drop what followed.
"""

    def __init__(self, turn: Turn, *, glyphs: Glyphs) -> None:
        super().__init__(classes="turn")
        self.turn = turn
        # Held, not queried: the chat's timer draws before they are there and while they leave.
        self.answer_text = Markdown(classes="turn-answer", open_links=False)
        self.problem = Static("", classes="turn-problem", markup=False)
        self.state = Static("", classes="turn-state", markup=False)
        self._glyphs = glyphs
        self._num_shown = 0
        self._is_complete = False

    def compose(self) -> ComposeResult:
        """Return the question, the answer and what it took."""
        yield Static(f"{self._glyphs.cursor} {self.turn.text}", classes="turn-text", markup=False)
        yield Static(self.turn.model.name, classes="turn-model", markup=False)
        yield from (self.answer_text, self.problem, self.state)

    def on_mount(self) -> None:
        """Hide what is not known yet."""
        self.problem.display = False

    async def grow(self, waiting: str) -> None:
        """Add what has arrived; `waiting` is what the server is busy with, if anything."""
        answer, text, state, problem = (
            self.turn.answer, self.answer_text, self.state, self.problem,
        )  # fmt: skip
        parts = (text, state, problem)
        if self._is_complete or not all(part.is_mounted and part.is_attached for part in parts):
            return
        # Taken before the text: what comes while that is drawn is for the next time.
        is_over, tokens = answer.is_over, answer.tokens[self._num_shown :]
        self._num_shown += len(tokens)
        new = "".join(markdown_of(token.text, is_tool=token.is_tool) for token in tokens)
        if new:
            await text.append(new)
        if answer.phase == "waiting":
            state.update(waiting or "waiting for the first token")
        else:
            state.update(stats_words(answer))
        if is_over:
            self._is_complete = True
            problem.display = bool(answer.problem)
            problem.update(answer.problem)

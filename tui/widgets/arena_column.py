"""One column of the arena: who answers, the answer, its entropy as bars, and its figures."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from core.experiments.report.strips import buckets, height_of
from tui.answering.answers import Answer
from tui.answering.columns import Departure, Lane, figures_line
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, Tone, ToneLine
from tui.widgets.answer_view import AnswerView
from tui.widgets.toned import TonedLines

# A full bar; a token of a small model seldom has more.
SCALE_BITS = 8.0
HIDDEN = "hidden until you vote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a column shows around its lane.

    is_hidden: whether the vote is not in yet; waiting: what the server is busy with, if anything.
    """

    label: str
    is_hidden: bool = False
    is_current: bool = False
    is_coloured: bool = True
    departure: Departure | None = None
    cursor: int | None = None
    waiting: str = ""


class ArenaColumn(Vertical):
    """A lane, drawn."""

    class Chosen(Message):
        """The person turned to this column."""

        def __init__(self, column: ArenaColumn) -> None:
            super().__init__()
            self.column = column

    def __init__(self, lane: Lane, *, glyphs: Glyphs) -> None:
        super().__init__(classes="column")
        self.lane = lane
        # Held, not queried: the arena's timer draws before they are there and while they leave.
        self.head = TonedLines(classes="column-head")
        self.view = AnswerView()
        self.foot = TonedLines(classes="column-foot")
        self._glyphs = glyphs
        self._standing: Standing | None = None

    def compose(self) -> ComposeResult:
        """Return the head, the answer and the foot."""
        yield from (self.head, self.view, self.foot)

    def on_mount(self) -> None:
        """Draw what was to be shown before there was anything to draw on."""
        self._draw()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Tell that this column is the one that keys are for."""
        self.post_message(self.Chosen(self))

    def on_resize(self) -> None:
        """Draw for the new width."""
        self._draw()

    def show(self, standing: Standing) -> None:
        """Draw the lane as it stands, or as soon as there is something to draw on."""
        self._standing = standing
        self._draw()

    def _draw(self) -> None:
        standing, lane, answer = self._standing, self.lane, self.lane.answer
        parts = (self.head, self.view, self.foot)
        if standing is None or not all(part.is_mounted and part.is_attached for part in parts):
            return
        self.set_class(standing.is_current, "-current")
        self.head.lines = self._head(standing)
        mark = standing.departure.token if standing.departure else None
        self.view.show(answer, mark=mark, is_coloured=standing.is_coloured)
        self.view.cursor = standing.cursor
        self.foot.lines = (
            ToneLine((Piece(self._bars(answer), "quiet"),)),
            self._status(lane, standing),
            ToneLine((Piece(self._figures(answer, standing), "quiet"),)),
        )

    def _head(self, standing: Standing) -> tuple[ToneLine, ...]:
        cursor = self._glyphs.cursor if standing.is_current else " "
        name = "?" if standing.is_hidden else self.lane.model.name
        drawn = HIDDEN if standing.is_hidden else settings_words(self.lane)
        tone: Tone = "active" if standing.is_current else "strong"
        room = max(self.size.width - 6, 8)
        return (
            ToneLine((Piece(f"{cursor} {standing.label}  {self._cut_name(name, room)}", tone),)),
            ToneLine((Piece(f"  {drawn}", "quiet"),)),
        )

    def _cut_name(self, name: str, room: int) -> str:
        """Return a name with its end, which tells stage and step, when it does not fit."""
        if len(name) <= room:
            return name
        dots = self._glyphs.ellipsis
        head, _, tail = name.rpartition(":")
        kept = max(room - len(tail) - len(dots) - 1, 0)
        return self._glyphs.cut(f"{head[:kept]}{dots}:{tail}", room)

    def _status(self, lane: Lane, standing: Standing) -> ToneLine:
        answer = lane.answer
        if answer is None:
            return ToneLine((Piece("ready", "quiet"),))
        words, tone = _phase(answer, standing)
        pieces = [Piece(words, tone)]
        if standing.departure is not None:
            text = f"  {self._glyphs.alert} departs at token {standing.departure.token + 1}"
            pieces.append(Piece(text, "warning"))
        return ToneLine(tuple(pieces))

    def _figures(self, answer: Answer | None, standing: Standing) -> str:
        if answer is None:
            return ""
        # How fast an answer comes tells which model it is from.
        return f"{answer.num_tokens} tok" if standing.is_hidden else figures_line(answer)

    def _bars(self, answer: Answer | None) -> str:
        ramp = self._glyphs.ramp
        values = [] if answer is None else answer.own_entropies_bits
        cells = buckets(values, max(self.size.width - 2, 1))
        return "".join(
            " " if cell.mean is None else ramp[height_of(cell.mean, SCALE_BITS, len(ramp))]
            for cell in cells
        )


def settings_words(lane: Lane) -> str:
    """Return how a lane's answers are drawn, in a few words."""
    settings = lane.settings
    words = [f"T {settings.temperature:g}"]
    if settings.top_k is not None:
        words.append(f"k {settings.top_k}")
    if settings.top_p is not None:
        words.append(f"p {settings.top_p:g}")
    if settings.min_p is not None:
        words.append(f"min {settings.min_p:g}")
    if settings.repetition_penalty != 1:
        words.append(f"rep {settings.repetition_penalty:g}")
    return "  ".join([*words, f"seed {settings.seed}"])


def _phase(answer: Answer, standing: Standing) -> tuple[str, Tone]:
    match answer.phase:
        case "waiting":
            return standing.waiting or "waiting for the first token", "active"
        case "answering":
            return "answering", "active"
        case "stopped":
            return "stopped", "warning"
        case "failed":
            return "failed", "error"
        case _:
            is_cut = answer.ending is not None and answer.ending.finish == "length"
            return ("cut off" if is_cut else "done"), ("warning" if is_cut else "good")

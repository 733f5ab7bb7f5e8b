"""One conversation as rows: who speaks, the text token by token, its strip of entropies. Pure.

A span knows the token that it shows, so that a view can mark one without laying out anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from core.experiments.measures.entropy import mean_entropy_bits
from core.experiments.report.figures import END_WORDS
from core.experiments.report.pieces import pieces_of
from core.experiments.report.strips import buckets, entropies_bits
from core.experiments.selfchat.transcript import Conversation, Setting, Turn
from core.tokenizer import Tokenizer
from tui.answering.rows import AnswerRows
from tui.selfchat.strip import bar, level_tone
from tui.shell.glyphs import Glyphs
from tui.shell.printable import printable
from tui.shell.tones import Tone

INDENT = 3


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """A token: its turn, counted from 0, and its place in it."""

    turn: int
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of a row. A cell of a strip stands for the tokens first..last of its turn."""

    text: str
    tone: Tone = "plain"
    turn: int | None = None
    first: int = 0
    last: int = 0

    def holds(self, spot: Spot | None) -> bool:
        """Whether the token is in it."""
        return spot is not None and self.turn == spot.turn and self.first <= spot.token <= self.last


Row = tuple[Span, ...]


@dataclass(frozen=True)
class Script:
    """A conversation that can be laid out; `top` is the entropy in bits of a full bar."""

    conversation: Conversation
    setting: Setting
    tokenizer: Tokenizer | None
    top: float
    _kept: dict[tuple[int, int, int], tuple[Row, ...]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """How many tokens each turn has."""
        return tuple(len(turn.tokens.ids) for turn in self.conversation.turns)

    @cached_property
    def texts(self) -> tuple[tuple[str, ...], ...]:
        """The text of each token of each turn; without a tokenizer a turn is one piece."""
        return tuple(self._texts(turn) for turn in self.conversation.turns)

    def rows(self, width: int, glyphs: Glyphs, limit: int | None = None) -> tuple[Row, ...]:
        """Return the rows; `limit` tokens are shown of it, all of them when there is none."""
        room = max(width, 2 * INDENT + 4)
        rows = [*self._topic(room, glyphs)]
        left = sum(self.lengths) if limit is None else limit
        for place, turn in enumerate(self.conversation.turns):
            if left <= 0 and limit is not None:
                break
            shown = min(left, self.lengths[place])
            key = (place, shown, room)
            if key not in self._kept:
                # Of a turn that is being replayed only one state is ever seen again: its last.
                made = tuple(self._turn(turn, place, shown, room, glyphs))
                if shown < self.lengths[place]:
                    rows += made
                    break
                self._kept[key] = made
            rows += self._kept[key]
            left -= shown
        if limit is None or limit >= sum(self.lengths):
            rows += self._end(glyphs)
        return tuple(rows)

    def _texts(self, turn: Turn) -> tuple[str, ...]:
        if self.tokenizer is None:
            return (printable(turn.text),)
        return tuple(printable(piece) for piece in pieces_of(turn.tokens.ids, self.tokenizer))

    def _topic(self, room: int, glyphs: Glyphs) -> list[Row]:
        lines = AnswerRows(room - INDENT)
        lines.feed(printable(self.conversation.topic), "")
        texts = ["".join(char for char, *_ in row) for row in lines.rows]
        lead = f"{glyphs.cursor}  "
        return [
            (Span(text=(lead if place == 0 else " " * INDENT) + text, tone="strong"),)
            for place, text in enumerate(texts)
        ]

    def _turn(self, turn: Turn, place: int, shown: int, room: int, glyphs: Glyphs) -> list[Row]:
        values = entropies_bits(turn.tokens)
        rows: list[Row] = [(), self._head(turn, place, room, glyphs)]
        lines = AnswerRows(room - INDENT)
        texts = self.texts[place]
        pieces = texts[:shown] if len(texts) == len(values) else texts
        for token, text in enumerate(pieces):
            lines.feed(text, str(token))
        for number in range(len(lines.rows)):
            spans = [Span(text=" " * INDENT)]
            for stretch in lines.runs(number):
                token = int(stretch.kind)
                tone = level_tone(values[token]) if len(texts) == len(values) else "plain"
                spans.append(
                    Span(text=stretch.text, tone=tone, turn=place, first=token, last=token)
                )
            rows.append(tuple(spans))
        rows.append(self._strip(values[:shown], place, room, glyphs))
        return rows

    def _strip(self, values: Sequence[float | None], place: int, room: int, glyphs: Glyphs) -> Row:
        spans = [Span(text=" " * INDENT)]
        for bucket in buckets(values, room - INDENT):
            piece = bar(bucket, self.top, glyphs)
            spans.append(
                Span(
                    text=piece.text, tone=piece.tone, turn=place,
                    first=bucket.start, last=max(bucket.stop - 1, bucket.start),
                )
            )  # fmt: skip
        return tuple(spans)

    def _head(self, turn: Turn, place: int, room: int, glyphs: Glyphs) -> Row:
        side = turn.side.upper()
        model = self.setting.model_a if turn.side == "a" else self.setting.model_b
        bits = mean_entropy_bits([turn])
        words = [f"turn {place + 1}", f"{len(turn.tokens.ids)} tok"]
        words += [f"{bits:.2f} bits"] if bits is not None else []
        words += ["cut off"] if turn.finish == "length" else []
        figures = f" {glyphs.separator} ".join(words)
        name = short_model(model, max(room - INDENT - len(figures) - 2, 0), glyphs)
        gap = max(room - INDENT - len(name) - len(figures), 1)
        tone: Tone = "active" if turn.side == "a" else "good"
        return (
            Span(text=f"{side}  ", tone=tone),
            Span(text=name, tone="quiet"),
            Span(text=" " * gap + figures, tone="quiet"),
        )

    def _end(self, glyphs: Glyphs) -> list[Row]:
        end = self.conversation.end
        if end is None:
            return [(), (Span(text=f"{glyphs.state('running')}  goes on", tone="active"),)]
        tone: Tone = "quiet" if end == "max_turns" else "warning"
        return [(), (Span(text=f"{glyphs.state('stopped')}  ended {END_WORDS[end]}", tone=tone),)]


def short_model(name: str, room: int, glyphs: Glyphs) -> str:
    """Return a model's name with its end, which tells stage and step, when it does not fit."""
    if len(name) <= room:
        return name
    head, _, tail = name.rpartition(":")
    kept = room - len(tail) - len(glyphs.ellipsis) - 1
    return f"{head[:kept]}{glyphs.ellipsis}:{tail}" if kept > 0 else glyphs.cut(tail, room)


def row_of(rows: Sequence[Row], spot: Spot) -> int | None:
    """Return the first row that shows a token."""
    return next(
        (place for place, row in enumerate(rows) if any(span.holds(spot) for span in row)), None
    )


def moved(lengths: Sequence[int], spot: Spot, by: int) -> Spot:
    """Return the token `by` tokens further, over the borders of turns, within the conversation."""
    place = min(max(place_of(lengths, spot) + by, 0), max(sum(lengths) - 1, 0))
    return spot_at(lengths, place)


def place_of(lengths: Sequence[int], spot: Spot) -> int:
    """Return how many tokens are before one."""
    return sum(lengths[: spot.turn]) + spot.token


def spot_at(lengths: Sequence[int], place: int) -> Spot:
    """Return the token that has so many before it."""
    for turn, length in enumerate(lengths):
        if place < length:
            return Spot(turn, place)
        place -= length
    last = max(len(lengths) - 1, 0)
    return Spot(last, max(lengths[last] - 1, 0) if lengths else 0)

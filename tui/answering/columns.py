"""The lanes of an arena: who is asked how, what they said, and what a vote on them means. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

from runs.errors import UsageError
from runs.labels import Ballot, VotedAnswer
from tui.answering.answers import Answer, departure, token_at
from tui.answering.models import ModelEntry
from tui.answering.sampling import TalkSettings
from tui.shell.format import compact, decimal, duration

MAX_LANES = 6
LABELS = "ABCDEF"
MIN_LANE_WIDTH = 32


@dataclass(slots=True, kw_only=True, eq=False)
class Lane:
    """One column: a model with settings, and its answer to the prompt that it was last asked.

    cursor: the token of the answer that is looked into.
    """

    model: ModelEntry
    settings: TalkSettings
    prompt: str = ""
    answer: Answer | None = None
    cursor: int | None = None

    @property
    def is_at_work(self) -> bool:
        """Whether more of its answer will come."""
        return self.answer is not None and not self.answer.is_over

    @property
    def is_whole(self) -> bool:
        """Whether it has answered to the end."""
        return self.answer is not None and self.answer.phase == "done"

    @property
    def cursor_text(self) -> int | None:
        """The place of the token under the cursor among the texts of the answer."""
        if self.answer is None or self.cursor is None:
            return None
        return self.answer.text_of(self.cursor)


@dataclass(slots=True, kw_only=True)
class Departure:
    """Where a lane's answer leaves that of the first lane: a character and its token."""

    char: int
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The lanes that are side by side now, of all."""

    start: int
    stop: int
    num_lanes: int

    @property
    def is_all(self) -> bool:
        """Whether every lane is visible."""
        return self.stop - self.start >= self.num_lanes


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a vote leaves: ballots to keep, and why some pairs have none."""

    ballots: tuple[Ballot, ...] = field(default=())
    note: str = ""


def page_of(num_lanes: int, current: int, width: int) -> Page:
    """Return the lanes to show in `width` cells, the current one among them."""
    fitting = max(1, min(num_lanes, width // MIN_LANE_WIDTH))
    start = min(current // fitting * fitting, max(num_lanes - fitting, 0))
    return Page(start=start, stop=min(start + fitting, num_lanes), num_lanes=num_lanes)


def departure_of(first: Lane, own: Lane) -> Departure | None:
    """Return where a lane departs from the first one; None as long as they are not known to."""
    if first is own or first.answer is None or own.answer is None or first.prompt != own.prompt:
        return None
    char = departure(first.answer, own.answer)
    if char is None:
        return None
    return Departure(char=char, token=token_at(own.answer.tokens, char))


def figures_line(answer: Answer) -> str:
    """Return the figures of an answer, the most wanted first."""
    words = [f"{answer.num_tokens} tok"]
    if answer.tok_per_sec is not None:
        words.append(f"{compact(answer.tok_per_sec)}/s")
    if answer.ttft_s is not None:
        words.append(f"TTFT {first_token(answer.ttft_s)}")
    if answer.entropy_bits is not None:
        words.append(f"{decimal(answer.entropy_bits, 2)} bits")
    return "  ".join(words)


def first_token(ttft_s: float) -> str:
    """Return the time to the first token: 12ms, 1.4s, 1m05s."""
    return f"{1000 * ttft_s:.0f}ms" if ttft_s < 1 else duration(ttft_s)


def verdict(lanes: Sequence[Lane], choice: int | None) -> Verdict:
    """Return the votes in a choice among lanes in the order shown: the best one, None for a tie.

    The best one wins against each of the others; in a tie every two are equal. Two lanes of one
    model, or with the same words, are no vote.

    Raises:
        UsageError: not every answer is whole, or there are not two different models.
    """
    if not all(lane.is_whole for lane in lanes):
        raise UsageError("vote when every answer is whole; retry or remove what was stopped")
    if len({lane.model.name for lane in lanes}) < 2:
        raise UsageError("a vote needs two different models; press m on a column to change one")
    pairs = list(combinations(range(len(lanes)), 2))
    if choice is not None:
        pairs = [pair for pair in pairs if choice in pair]
    ballots = [
        _ballot(lanes[first], lanes[second], None if choice is None else choice == first)
        for first, second in pairs
        if lanes[first].model.name != lanes[second].model.name
        and _text(lanes[first]) != _text(lanes[second])
    ]
    num_left = len(pairs) - len(ballots)
    note = f"{num_left} pairs of one model or of equal words are no vote" if num_left else ""
    return Verdict(ballots=tuple(ballots), note=note)


def _ballot(first: Lane, second: Lane, is_first: bool | None) -> Ballot:
    settings = {"first": first.settings.as_row(), "second": second.settings.as_row()}
    return Ballot(
        prompt=first.prompt,
        first=_voted(first),
        second=_voted(second),
        choice="tie" if is_first is None else "first" if is_first else "second",
        settings=settings["first"] if settings["first"] == settings["second"] else settings,
    )


def _voted(lane: Lane) -> VotedAnswer:
    return VotedAnswer(model=lane.model.name, run_id=lane.model.run_id, text=_text(lane))


def _text(lane: Lane) -> str:
    return "" if lane.answer is None else lane.answer.shown

"""The lists of the self-chat view as lines: runs, conversations, checkpoints of one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.experiments.report.figures import num_tokens
from core.experiments.selfchat.transcript import (
    Conversation,
    ConversationEnd,
    Experiment,
    Setting,
)
from runs.errors import UsageError
from runs.views.run_view import RunView
from runs.views.states import ACTIVE
from tui.selfchat.strip import strip
from tui.shell import format as fmt
from tui.shell.format import counted
from tui.shell.glyphs import Glyphs
from tui.shell.printable import printable
from tui.shell.tones import Piece, Tone, ToneLine, state_tone

MAX_SPARK = 24
MIN_SPARK = 6
TOPIC_FROM = 14
END_SHORT: Mapping[ConversationEnd | None, str] = {
    "max_turns": "done",
    "loop": "loop",
    "context": "full",
    "budget": "cut",
    "empty": "empty",
    None: "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkColumns:
    """How wide the columns of the list of conversations are."""

    number: int
    name: int
    spark: int
    topic: int


def run_line(run: RunView, *, now: float, width: int, glyphs: Glyphs) -> ToneLine:
    """Return a self-chat: its state, name, progress and age."""
    state = Piece(f"{glyphs.state(run.state)} ", state_tone(run.state))
    stage = run.stages[0] if run.stages else None
    told: str = run.state
    if stage is not None and run.state in ACTIVE and stage.done and stage.total:
        told = fmt.percent(stage.done / stage.total)
    right = f" {told:<8} {fmt.age(now - run.created_s):>4}"
    name = glyphs.cut(run.name, max(width - len(right) - 2, 4))
    return ToneLine(
        (
            state,
            Piece(name.ljust(max(width - len(right) - 2, 4))),
            Piece(f" {told:<8}", state_tone(run.state)),
            Piece(right[-5:], "quiet"),
        )
    )


def talk_columns(experiment: Experiment, names: Mapping[int, str], width: int) -> TalkColumns:
    """Return the widths that the list of conversations has in so many cells."""
    number = max(len(str(max((one.number for one in experiment.conversations), default=0))), 1)
    most = max((len(one.turns) for one in experiment.conversations), default=0)
    spark = min(max(most, MIN_SPARK), MAX_SPARK)
    longest = max(map(len, names.values()), default=0)
    fixed = number + len(" s0 ") + len(" empty ") + spark
    name = min(longest, max(width - fixed - 1, 4))
    topic = width - fixed - name - 2
    return TalkColumns(
        number=number, name=name, spark=spark, topic=topic if topic >= TOPIC_FROM else 0
    )


def talk_line(
    one: Conversation,
    name: str,
    means_bits: Sequence[float | None],
    columns: TalkColumns,
    top: float,
    glyphs: Glyphs,
) -> ToneLine:
    """Return a conversation: number, setting, seed, end, entropy by turn, and its topic."""
    bars = strip(means_bits, columns.spark, top, glyphs)
    pieces = [
        Piece(f"{one.number:>{columns.number}} ", "quiet"),
        Piece(glyphs.cut(printable(name), columns.name).ljust(columns.name)),
        Piece(f" s{one.seed:<2}", "quiet"),
        *_end(one, glyphs),
        *bars,
        Piece(" " * (columns.spark - len(bars))),
    ]
    if columns.topic:
        topic = " ".join(printable(one.topic).split())
        pieces.append(Piece(f"  {glyphs.cut(topic, columns.topic - 1)}", "quiet"))
    return ToneLine(tuple(pieces))


def _end(one: Conversation, glyphs: Glyphs) -> tuple[Piece, ...]:
    if one.end is not None:
        tone: Tone = "quiet" if one.end == "max_turns" else "warning"
        return (Piece(f" {END_SHORT[one.end]:<6}", tone),)
    if one.turns:
        return (Piece(f" {glyphs.state('running')}{len(one.turns):<5}", "active"),)
    return (Piece(f" {glyphs.state('pending')}     ", "quiet"),)


def telling_names(names: Mapping[int, str]) -> dict[int, str]:
    """Return the names of settings without the words that all of them have."""
    words = {index: name.split() for index, name in names.items()}
    common = set.intersection(*map(set, words.values())) if len(words) > 1 else set()
    short = {
        index: " ".join(word for word in own if word not in common) for index, own in words.items()
    }
    return short if all(short.values()) else dict(names)


def versions(experiment: Experiment, one: Conversation) -> tuple[Conversation, ...]:
    """Return the same conversation of every checkpoint that was asked, itself among them.

    The same: topic, seed and how tokens are drawn. One alone where a single model talked.
    """
    settings = {setting.index: setting for setting in experiment.settings}
    wanted = _drawn(settings[one.setting])
    return tuple(
        other
        for other in experiment.conversations
        if (other.topic, other.seed) == (one.topic, one.seed)
        and _drawn(settings[other.setting]) == wanted
    )


def track_line(
    talks: Sequence[Conversation],
    shown: Conversation,
    settings: Mapping[int, Setting],
    means_bits: Mapping[int, Sequence[float | None]],
    top: float,
    width: int,
    glyphs: Glyphs,
) -> ToneLine:
    """Return the checkpoints in their order, each with its entropy by turn; one is marked.

    Where they do not all fit, those around the marked one.
    """
    cells = []
    for one in talks:
        setting, mark = settings[one.setting], one.number == shown.number
        name = f"{setting.stage}@{setting.step}"
        bars = strip(means_bits.get(one.number, ()), MAX_SPARK, top, glyphs)
        head, tail = (f"[{name} ", "]") if mark else (f" {name} ", " ")
        cells.append((Piece(head, _mark(mark)), *bars, Piece(tail, _mark(mark))))
    here = next((at for at, one in enumerate(talks) if one.number == shown.number), 0)
    kept = _around(here, [sum(len(piece.text) for piece in cell) + 1 for cell in cells], width - 4)
    more = (kept.start > 0, kept.stop < len(cells))
    pieces = [Piece(glyphs.ellipsis if more[0] else " ", "quiet")]
    for place in kept:
        pieces += [Piece(glyphs.bar_empty, "quiet")] if place > kept.start else []
        pieces += cells[place]
    pieces.append(Piece(glyphs.ellipsis if more[1] else "", "quiet"))
    return ToneLine(tuple(pieces))


def _around(here: int, widths: Sequence[int], room: int) -> range:
    """Return the places around one that fit into the room, as many after it as before."""
    start, stop = here, min(here + 1, len(widths))
    used = sum(widths[start:stop])
    while True:
        later = stop < len(widths) and used + widths[stop] <= room
        if later:
            used += widths[stop]
            stop += 1
        earlier = start > 0 and used + widths[start - 1] <= room
        if earlier:
            start -= 1
            used += widths[start]
        if not (later or earlier):
            return range(start, stop)


def summary_words(experiment: Experiment) -> str:
    """Return how much has been said, in a few words."""
    talks = experiment.conversations
    turns = sum(len(one.turns) for one in talks)
    tokens = sum(map(num_tokens, talks))
    counts = ((len(talks), "conversation"), (turns, "turn"), (tokens, "token"))
    return ", ".join(counted(count, noun) for count, noun in counts)


def _drawn(setting: Setting) -> tuple[object, ...]:
    return (
        setting.temperature, setting.top_k, setting.top_p, setting.min_p,
        setting.repetition_penalty,
    )  # fmt: skip


def _mark(is_shown: bool) -> Tone:
    return "active" if is_shown else "quiet"


def pane_line(panes: Sequence[str], shown: str) -> ToneLine:
    """Return the names of the panes with their keys; that of the shown one stands out."""
    return ToneLine(
        tuple(
            Piece(f"[{place} {pane}]", "active")
            if pane == shown
            else Piece(f" {place} {pane} ", "quiet")
            for place, pane in enumerate(panes, start=1)
        )
    )


def check_turn(text: str, *, num_turns: int) -> None:
    """Check the number of a turn as it was typed; raise UsageError for what is none."""
    if not text.isdecimal() or not 1 <= int(text) <= num_turns:
        raise UsageError(f"type the number of a turn, 1 to {num_turns}")

"""What the self-chat view shows of one self-chat: the conversation, the token, the replay. No I/O.

The screen changes it and draws the lines that it makes.
"""

from __future__ import annotations

import textwrap

from core.experiments.report.figures import short_names_of
from core.experiments.selfchat.transcript import Conversation, Setting
from runs.views.run_view import RunView
from tui.selfchat.findings import finding_lines
from tui.selfchat.lists import (
    summary_words,
    talk_columns,
    talk_line,
    telling_names,
    track_line,
    versions,
)
from tui.selfchat.reading import Held
from tui.selfchat.replay import Playhead
from tui.selfchat.strip import legend
from tui.selfchat.token_facts import EMPTY, NOTHING, token_lines
from tui.selfchat.transcript_rows import Script, Spot, place_of, spot_at
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, ToneLine, state_tone

MAX_NAME = 40


class Viewing:
    """One self-chat on the screen; held: None until it was read."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        self._glyphs = glyphs
        self.held: Held | None = None
        self.problem = ""
        self.head = Playhead()
        self.script: Script | None = None
        self.listed: tuple[Conversation, ...] = ()
        self.only: int | None = None
        self._number: int | None = None
        self._spot: Spot | None = None
        self._settings: dict[int, Setting] = {}
        self._names: dict[int, str] = {}
        self._lines: dict[tuple[object, ...], ToneLine] = {}
        self._found: tuple[tuple[object, int], tuple[ToneLine, ...]] | None = None

    def take(self, held: Held) -> None:
        """Show what was read; what is looked at stays."""
        self.held = held
        self.problem = ""
        self._settings = {one.index: one for one in held.experiment.settings}
        self._names = telling_names(short_names_of(held.experiment.settings, MAX_NAME))
        self._list()
        if self._number is None and self.listed:
            self._number = self.listed[0].number
        self._write()

    @property
    def talk(self) -> Conversation | None:
        """The conversation that is shown."""
        if self.held is None:
            return None
        talks = self.held.experiment.conversations
        return next((one for one in talks if one.number == self._number), None)

    @property
    def versions(self) -> tuple[Conversation, ...]:
        """The same conversation at every checkpoint, where the self-chat asked several."""
        talk = self.talk
        if self.held is None or talk is None or self._settings[talk.setting].step is None:
            return ()
        return versions(self.held.experiment, talk)

    @property
    def models(self) -> tuple[str, ...]:
        """The models of the conversation that is shown."""
        talk = self.talk
        if talk is None:
            return ()
        setting = self._settings[talk.setting]
        return tuple(dict.fromkeys((setting.model_a, setting.model_b)))

    @property
    def row(self) -> int:
        """The place of the conversation in the list."""
        numbers = [one.number for one in self.listed]
        return numbers.index(self._number) if self._number in numbers else 0

    @property
    def cursor(self) -> Spot | None:
        """The token that is marked: of a replay the last one that was said."""
        limit = self.head.limit
        if self.script is None or limit is None:
            return self._spot
        return spot_at(self.script.lengths, limit - 1) if limit else None

    def turn_to(self, number: int) -> None:
        """Show another conversation, from its start and whole."""
        if number != self._number:
            self._number, self._spot = number, None
            self.head = Playhead(speed=self.head.speed)
            self._write()

    def scrub(self, by: int) -> bool:
        """Show the same conversation at another checkpoint; return whether there is one."""
        talks = self.versions
        numbers = [one.number for one in talks]
        if self._number not in numbers:
            return False
        place = numbers.index(self._number) + by
        if not 0 <= place < len(talks):
            return False
        if self.only is not None:
            self.only = talks[place].setting
            self._list()
        self.turn_to(numbers[place])
        return True

    def filter_next(self) -> None:
        """List the next setting alone, after the last one all."""
        choices = [None, *self._settings]
        self.only = choices[(choices.index(self.only) + 1) % len(choices)]
        self._list()
        if self.listed and all(one.number != self._number for one in self.listed):
            self.turn_to(self.listed[0].number)

    def go_to(self, spot: Spot) -> None:
        """Mark a token; a replay goes there and pauses."""
        self._spot = spot
        if self.script is not None and self.head.limit is not None:
            place = place_of(self.script.lengths, spot)
            self.head = Playhead(speed=self.head.speed, shown=float(place + 1))

    def toggle(self) -> None:
        """Play or pause."""
        self.head = self.head.toggled(self._total)

    def step(self, by: int) -> None:
        """Show a token more or less."""
        self.head = self.head.stepped(by, self._total)

    def jump(self, turn: int) -> None:
        """Go to a turn, counted from 0."""
        lengths = self.script.lengths if self.script else ()
        if self.head.limit is not None:
            self.head = self.head.at_turn(turn, lengths)
        elif lengths:
            self._spot = Spot(min(max(turn, 0), len(lengths) - 1), 0)

    def play(self, seconds: float) -> bool:
        """Let time pass; return whether that changed anything."""
        before = (self.head.limit, self.head.is_playing)
        self.head = self.head.after(seconds, self._total)
        return before != (self.head.limit, self.head.is_playing)

    def end_replay(self) -> None:
        """Show the whole conversation."""
        self.head = Playhead(speed=self.head.speed)

    def top_line(self, name: str, run: RunView | None) -> ToneLine:
        """Return what the view shows, and how that stands."""
        pieces = [Piece("Self-chat", "active"), Piece(f"  {name}", "strong")]
        if run is not None:
            state = f"  {self._glyphs.state(run.state)} {run.state}"
            pieces.append(Piece(state, state_tone(run.state)))
        if self.only is not None:
            pieces.append(Piece(f"  only {self._names[self.only]}", "warning"))
        if self.held is not None:
            pieces.append(Piece(f"  {summary_words(self.held.experiment)}", "quiet"))
        return ToneLine(tuple(pieces))

    def _not_read(self, width: int) -> tuple[ToneLine, ...]:
        """Return why there is nothing to show, over as many rows as that takes."""
        rows = textwrap.wrap(self.problem or "Reading ...", max(width, 1))
        return tuple(ToneLine((Piece(row, "quiet"),)) for row in rows)

    def talk_lines(self, width: int) -> tuple[ToneLine, ...]:
        """Return the list of conversations."""
        held = self.held
        if held is None:
            return self._not_read(width)
        columns = talk_columns(held.experiment, self._names, width)
        known, self._lines = self._lines, {}
        for one in self.listed:
            key = (one.number, len(one.turns), one.end, columns, held.turn_top)
            self._lines[key] = known.get(key) or talk_line(
                one, self._names[one.setting], held.means_bits.get(one.number, ()), columns,
                held.turn_top, self._glyphs,
            )  # fmt: skip
        return tuple(self._lines.values())

    def head_lines(self, width: int) -> tuple[ToneLine, ...]:
        """Return what is known of the conversation as a whole."""
        talk, held = self.talk, self.held
        if talk is None or held is None:
            return self._not_read(width)
        setting = self._settings[talk.setting]
        words = f"  {setting.label}  seed {talk.seed}  {len(talk.turns)} turns"
        lines = [ToneLine((Piece(f"#{talk.number}", "active"), Piece(words, "quiet")))]
        if len(self.versions) > 1:
            track = track_line(
                self.versions, talk, self._settings, held.means_bits, held.turn_top, width,
                self._glyphs,
            )  # fmt: skip
            lines.append(track)
        return tuple(lines)

    def replay_line(self, width: int) -> ToneLine:
        """Return how far a replay is; of no replay, what bars and colours say."""
        if self.held is None or self.script is None:
            return EMPTY
        limit, total = self.head.limit, self._total
        if limit is None:
            return ToneLine(legend(self.held.token_top, self._glyphs))
        state = f"{self._glyphs.cursor} playing" if self.head.is_playing else "  paused "
        turn = self.head.turn(self.script.lengths) + 1
        figures = (
            f"  {self.head.speed} tok/s  turn {turn}/{len(self.script.lengths)}"
            f"  token {limit}/{total} "
        )
        room = max(width - len(state) - len(figures) - 2, 4)
        return ToneLine(
            (
                Piece(state, "active" if self.head.is_playing else "warning"),
                Piece(figures),
                Piece(self._glyphs.bar(limit / max(total, 1), room), "active"),
            )
        )

    def token_lines(self, width: int) -> tuple[ToneLine, ...]:
        """Return what is known of the token that is marked."""
        spot, talk = self.cursor, self.talk
        if spot is None or talk is None or self.held is None or spot.turn >= len(talk.turns):
            return NOTHING
        tokens = talk.turns[spot.turn].tokens
        return token_lines(tokens, spot.token, self.held.tokenizer, width, self._glyphs)

    def finding_lines(self, width: int) -> tuple[ToneLine, ...]:
        """Return what was found."""
        if self.held is None:
            return self._not_read(width)
        findings = self.held.findings
        if findings is None:
            text = "Findings come with the end of the self-chat; curves grow as it talks."
            return (ToneLine((Piece(text, "quiet"),)),)
        if self._found is None or self._found[0] != (findings, width):
            lines = finding_lines(findings, width, self._glyphs)
            self._found = ((findings, width), lines)
        return self._found[1]

    @property
    def _total(self) -> int:
        return sum(self.script.lengths) if self.script else 0

    def _list(self) -> None:
        talks = self.held.experiment.conversations if self.held else ()
        self.listed = tuple(one for one in talks if self.only in (None, one.setting))

    def _write(self) -> None:
        """Take the conversation anew where it is another one, or has grown."""
        talk, held = self.talk, self.held
        if talk is None or held is None:
            self.script = None
        elif self.script is None or not self._is_same(self.script, talk, held):
            self.script = Script(
                conversation=talk, setting=self._settings[talk.setting],
                tokenizer=held.tokenizer, top=held.token_top,
            )  # fmt: skip

    @staticmethod
    def _is_same(script: Script, talk: Conversation, held: Held) -> bool:
        before = script.conversation
        known = (before.number, len(before.turns), before.end, script.top, script.tokenizer)
        return known == (
            talk.number, len(talk.turns), talk.end, held.token_top, held.tokenizer
        )  # fmt: skip

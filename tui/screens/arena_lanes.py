"""Who is asked in the arena, the vote on the answers, and the token that is looked into.

What it looks like, and the keys, are the arena's.
"""

from __future__ import annotations

import random
import secrets
from typing import Unpack

from textual import work
from textual.worker import Worker

from runs.errors import LabError
from runs.labels import add_vote
from tui.answering.alternatives import ids_at, stepped
from tui.answering.answers import Answer
from tui.answering.chunks import Ask
from tui.answering.columns import MAX_LANES, Lane, departure_of, verdict
from tui.answering.models import ModelEntry
from tui.screens.asking import DEFAULTS, AskingGiven, AskingScreen


class LanesScreen(AskingScreen):
    """Up to six models with settings of their own; keys are for the current one."""

    def __init__(self, *, rng: random.Random | None = None, **given: Unpack[AskingGiven]) -> None:
        super().__init__(**given)
        # Not from the seed of the answers: who knows it would know the order of a blind vote.
        self._rng = rng or secrets.SystemRandom()
        self.lanes: list[Lane] = []
        self.current = 0
        self.is_blind = False
        self.is_revealed = False
        self.has_begun = False
        self.names: dict[str, dict[int, str]] = {}
        self._workers: dict[int, Worker[None]] = {}

    @property
    def is_hidden(self) -> bool:
        """Whether who says what waits for the vote."""
        return self.is_blind and not self.is_revealed

    @property
    def lane(self) -> Lane | None:
        """The lane that keys are for."""
        return self.lanes[self.current] if self.lanes else None

    @property
    def is_waiting(self) -> bool:
        """Whether a lane has not had its first token."""
        return any(
            lane.answer is not None and lane.answer.phase == "waiting" for lane in self.lanes
        )

    def add_lane(self, model: ModelEntry) -> Lane | None:
        """Give a model a lane, where there is room."""
        if len(self.lanes) >= MAX_LANES:
            return None
        # A second column of one model is for another draw of it.
        num_same = sum(lane.model.name == model.name for lane in self.lanes)
        lane = Lane(model=model, settings=DEFAULTS.changed(seed=num_same))
        self.lanes.append(lane)
        self.has_news = True
        return lane

    def bring(self, models: tuple[str, ...]) -> None:
        """Give these models a column each where they have none, beside what is open."""
        self.wanted = models
        if self.has_begun:
            self.read_models()

    def ask(self, lane: Lane) -> None:
        """Ask a lane its prompt."""
        lane.answer, lane.cursor = Answer(), None
        ask = Ask(
            model=lane.model.name,
            is_base=lane.model.is_base,
            messages=[{"role": "user", "content": lane.prompt}],
            settings=lane.settings,
        )
        self._workers[id(lane)] = self.stream(ask, lane.answer)
        self.has_news = True

    def retry(self, lanes: list[Lane]) -> None:
        """Ask lanes what they were asked, each with its next seed."""
        asked = [lane for lane in lanes if lane.prompt]
        if not asked:
            self.tell("nothing has been asked yet", is_refused=True)
        self.stop(asked)
        for lane in asked:
            lane.settings = lane.settings.changed(seed=lane.settings.seed + 1)
            self.ask(lane)

    def stop(self, lanes: list[Lane]) -> None:
        """End the answers of lanes where they are."""
        for lane in lanes:
            worker = self._workers.pop(id(lane), None)
            if worker is not None and lane.is_at_work:
                worker.cancel()
        self.has_news = True

    def shuffle(self) -> None:
        """Put the lanes in an order that nobody knows."""
        self._rng.shuffle(self.lanes)
        self.is_revealed = False

    def vote(self, choice: int | None) -> None:
        """Keep the votes for a lane, or for none, and show who said what."""
        try:
            decided = verdict(self.lanes, choice)
            for ballot in decided.ballots:
                add_vote(self.home, ballot)
        except LabError as error:
            self.tell(str(error), is_refused=True)
            return
        self.is_revealed = True
        num = len(decided.ballots)
        kept = "1 vote is kept" if num == 1 else f"{num} votes are kept"
        self.tell("; ".join(filter(None, (kept, decided.note))))

    def look_into(self, lane: Lane, index: int | None) -> None:
        """Put the cursor on a token of a lane's answer, and find the names of its alternatives."""
        lane.cursor = index
        self.has_news = True
        if index is not None and lane.answer is not None:
            known = self.names.setdefault(lane.model.name, {})
            wanted = [one for one in ids_at(lane.answer, index) if one not in known]
            if wanted:
                self.read_names(lane.model.name, wanted)

    def action_token(self, by: int) -> None:
        """Go to another token of the current answer."""
        lane = self.lane
        if lane is not None and lane.answer is not None:
            self.look_into(lane, stepped(lane.answer, lane.cursor, by))

    def action_departure(self) -> None:
        """Go to the token where the current answer departs from the first column's."""
        lane = self.lane
        found = None if lane is None else departure_of(self.lanes[0], lane)
        if lane is None or lane.answer is None or found is None:
            self.tell("this column has not departed from the first one", is_refused=True)
        elif found.token < len(lane.answer.tokens):
            self.look_into(lane, lane.answer.tokens[found.token].last)

    def action_no_token(self) -> None:
        """Look into no token any more."""
        if self.lane is not None:
            self.look_into(self.lane, None)

    @work(exclusive=True, exit_on_error=False, group="names")
    async def read_names(self, model: str, ids: list[int]) -> None:
        """Ask the server for the texts of tokens; without an answer, their ids are shown."""
        try:
            texts = await self.asker.client(self.home).token_texts(model, ids)
        except (LabError, OSError, ValueError, KeyError):
            return
        self.names[model].update(zip(ids, texts, strict=True))
        self.has_news = True

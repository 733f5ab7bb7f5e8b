"""Self-chats as their runs hold them: what was said so far, what was found, live or finished.

Reads files; no widgets and no threads here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.experiments.report.strips import token_scale_bits, turn_means_bits, turn_scale_bits
from core.experiments.selfchat.archive import STAGE, load_experiment
from core.experiments.selfchat.transcript import Experiment, Turn, parse_turn, with_turns
from core.tokenizer import Tokenizer
from runs.errors import LabError
from runs.paths import RunPaths
from runs.record import load_record
from runs.views.run_view import RunView
from tui.live.feed import DRAIN_BYTES, RunFeed
from tui.selfchat.findings import Findings, read_findings

RESCALE_GROWTH = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One self-chat; findings: None before its end; tokenizer: None when its file is gone.

    means_bits: each conversation's mean entropies by turn, by its number. token_top, turn_top: the
    entropies in bits that full bars of tokens and of turns stand for.
    """

    experiment: Experiment
    findings: Findings | None
    tokenizer: Tokenizer | None
    means_bits: Mapping[int, tuple[float | None, ...]]
    token_top: float
    turn_top: float


def selfchats(views: Sequence[RunView]) -> tuple[RunView, ...]:
    """Return the runs that are self-chats."""
    return tuple(view for view in views if view.recipe == STAGE)


def tokenizer_of(run_dir: Path) -> Tokenizer | None:
    """Return the tokenizer of a self-chat's first model; its models share one."""
    given = load_record(run_dir).inputs
    found = RunPaths(run_dir).find
    paths = [found(entry["path"]) for name, entry in given.items() if name.startswith("tokenizer:")]
    return Tokenizer.from_file(paths[0]) if paths and paths[0].is_file() else None


class SelfchatFeed:
    """Follows one self-chat from its events, which say where in the artifact each turn lies."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._events = RunFeed(run_dir, (STAGE,))
        self._held: Held | None = None
        self._num_scaled = 0

    def load(self) -> Held:
        """Return the self-chat as far as it has come.

        Raises:
            NotFound: it has not begun.
            Corrupt: its files cannot be read.
        """
        # The events first: a turn stands in the artifact before its event is written.
        events = self._new_events()
        artifacts = RunPaths(self._run_dir).artifacts_dir(STAGE)
        experiment = with_ends(load_experiment(artifacts), events)
        tokenizer = self._held.tokenizer if self._held else self._tokenizer()
        self._held = Held(
            experiment=experiment,
            findings=read_findings(artifacts, experiment.settings),
            tokenizer=tokenizer,
            means_bits={one.number: turn_means_bits(one) for one in experiment.conversations},
            token_top=token_scale_bits(experiment),
            turn_top=turn_scale_bits(experiment),
        )
        self._num_scaled = num_turns(experiment)
        return self._held

    def poll(self) -> Held | None:
        """Return the self-chat with what was said since the last call; None: nothing was."""
        if self._held is None:
            return self.load()
        events = self._new_events()
        if not events:
            return None
        experiment = self._held.experiment
        turns = [turn for one in experiment.conversations for turn in one.turns]
        turns += [turn for event in events if (turn := self._turn(event)) is not None]
        grown = replace(experiment, conversations=with_turns(experiment.conversations, turns))
        grown = with_ends(grown, events)
        spoken = {int(event["conversation"]) for event in events}
        changed = [one for one in grown.conversations if one.number in spoken]
        means = {one.number: turn_means_bits(one) for one in changed}
        self._held = replace(
            self._held, experiment=grown, means_bits={**self._held.means_bits, **means}
        )
        self._scale_again(grown)
        return self._held

    def _scale_again(self, experiment: Experiment) -> None:
        """Measure full bars anew where much was added: it takes a look at every token."""
        assert self._held is not None
        if num_turns(experiment) > RESCALE_GROWTH * self._num_scaled:
            self._num_scaled = num_turns(experiment)
            self._held = replace(
                self._held,
                token_top=token_scale_bits(experiment),
                turn_top=turn_scale_bits(experiment),
            )

    def _new_events(self) -> list[Mapping[str, Any]]:
        found = []
        while batch := self._events.poll(max_bytes=DRAIN_BYTES):
            found += [one.record.data for one in batch if one.record.kind == "turn"]
        return found

    def _turn(self, event: Mapping[str, Any]) -> Turn | None:
        try:
            with open(self._run_dir / str(event["path"]), "rb") as stream:
                stream.seek(int(event["offset"]))
                return parse_turn(json.loads(stream.read(int(event["bytes"]))))
        except (OSError, ValueError, KeyError, TypeError):
            # The whole transcript is read again at the end, and says what is wrong with it.
            return None

    def _tokenizer(self) -> Tokenizer | None:
        try:
            return tokenizer_of(self._run_dir)
        except (LabError, OSError):
            # Texts are stored beside the tokens: only the token under the cursor has no name.
            return None


def num_turns(experiment: Experiment) -> int:
    """Return how many turns were taken so far."""
    return sum(len(one.turns) for one in experiment.conversations)


def with_ends(experiment: Experiment, events: Sequence[Mapping[str, Any]]) -> Experiment:
    """Return the self-chat with the ends that turn events tell of."""
    ends = {event["conversation"]: event["end"] for event in events if event.get("end")}
    return replace(
        experiment,
        conversations=tuple(
            one if one.end is not None else replace(one, end=ends.get(one.number))
            for one in experiment.conversations
        ),
    )

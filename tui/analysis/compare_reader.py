"""Several runs beside each other, by the same functions as `labcli runs compare`, `diff` and `why`.

For one thread at a time. What cannot be told is a sentence, never an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from runs.analysis.comparison import Comparison, compare
from runs.analysis.diff import (
    Changed,
    CodeChange,
    code_change,
    config_changes,
    data_changes,
    environment_changes,
)
from runs.analysis.repeat import repeat_command
from runs.analysis.scaling_fit import ScalingFit, scaling_fit
from runs.analysis.why import Why, why
from runs.errors import LabError, NotFound
from runs.metrics.run_curve import AXES, Axis, common_stage, default_metric, run_curve, smoothed
from runs.paths import LabHome
from runs.views.card import RunCard, load_cards
from runs.views.facts import FoldCache
from runs.views.query import load_run
from tui.analysis.compare_page import Choice, ComparePage, Section
from tui.analysis.run_reader import fingerprint
from tui.analysis.words import names_of
from tui.charts.data import ChartData, LegendEntry, run_letter
from tui.charts.plot import Layer, Role

# Repetitions for the noise floor are looked for in the whole lab, which may hold a thousand runs.
LAB_S = 30.0
# The metric that is drawn beside the one compared.
SECOND_METRIC = "loss"


class CompareReader:
    """Reads the runs again and again, each time only when one of them has changed."""

    def __init__(self, home: LabHome, runs: Sequence[Path]) -> None:
        self.home = home
        self.runs = tuple(dict.fromkeys(runs))
        self._cache = FoldCache()
        self._cards: dict[Path, tuple[object, RunCard]] = {}
        self._lab: tuple[float, list[RunCard]] | None = None
        self._mark: object = None

    def read(self, sections: Sequence[Section], choice: Choice) -> ComparePage | None:
        """Return what the sections need; None when nothing has changed since the last time."""
        cards, unreadable, marks = self._read_cards()
        mark = (tuple(sections), choice, marks)
        if mark == self._mark:
            return None
        page = self._page(cards, unreadable, sections, choice)
        self._mark = mark
        return page

    def _read_cards(self) -> tuple[list[RunCard], tuple[str, ...], object]:
        cards: list[RunCard] = []
        unreadable: list[str] = []
        marks: list[object] = []
        for run_dir in self.runs:
            view = load_run(run_dir, self._cache)
            if view.state == "unreadable":
                unreadable.append(f"{run_dir.name} is left out: {view.problem}")
                marks.append((run_dir, view.problem))
                continue
            mark = (view.state, fingerprint(run_dir))
            before = self._cards.get(run_dir)
            if before is None or before[0] != mark:
                self._cards[run_dir] = (mark, RunCard(view))
            cards.append(self._cards[run_dir][1])
            marks.append((run_dir, mark))
        return cards, tuple(unreadable), tuple(marks)

    def _page(
        self,
        cards: list[RunCard],
        unreadable: tuple[str, ...],
        sections: Sequence[Section],
        choice: Choice,
    ) -> ComparePage:
        page = _Draft(cards, choice)
        if len(cards) < 2:
            page.problem = "a comparison takes two runs; mark another one"
            return page.done(unreadable)
        try:
            metric = choice.metric or default_metric(cards, choice.stage)
            stage = common_stage(cards, metric, choice.stage)
        except NotFound as error:
            page.problem = str(error)
        else:
            page.charts = _charts(cards, stage, metric, choice.axis)
            lab = self._whole_lab()
            page.part("verdict", lambda: self._verdict(page, cards, lab, metric, stage))
            if "why" in sections:
                page.part("why", lambda: page.ask_why(lab, stage))
            if "scaling" in sections:
                page.part("scaling", lambda: page.take_fit(scaling_fit(cards, stage, metric)))
        if "settings" in sections:
            page.part("settings", page.take_changes)
        if "code" in sections:
            page.part("code", page.take_code)
        return page.done(unreadable)

    def _verdict(
        self, page: _Draft, cards: list[RunCard], lab: list[RunCard], metric: str, stage: str
    ) -> None:
        found = compare(cards, lab, metric=metric, stage=stage, axis=page.choice.axis)
        page.found = found
        page.repeat = None if found.floor else repeat_command(cards[0], lab, found.stage)

    def _whole_lab(self) -> list[RunCard]:
        now = time.monotonic()
        if self._lab is None or now - self._lab[0] > LAB_S:
            self._lab = (now, load_cards(self.home))
        return self._lab[1]


class _Draft:
    """A page that is being read."""

    def __init__(self, cards: list[RunCard], choice: Choice) -> None:
        self.cards = cards
        self.choice = choice
        self.problem = ""
        self.problems: dict[str, str] = {}
        self.found: Comparison | None = None
        self.repeat: str | None = None
        self.charts: tuple[ChartData, ...] = ()
        self.changes: tuple[tuple[Changed, ...], ...] = ((), (), ())
        self.code: tuple[CodeChange, ...] = ()
        self.reasons: Why | None = None
        self.fit: ScalingFit | None = None

    def part(self, name: str, read: Callable[[], None]) -> None:
        try:
            read()
        except (LabError, OSError, ValueError, KeyError, TypeError) as error:
            self.problems[name] = str(error)

    def ask_why(self, lab: Sequence[RunCard], stage: str) -> None:
        other = min(max(self.choice.pair, 1), len(self.cards) - 1)
        self.reasons = why(self.cards[0], self.cards[other], lab, stage=stage)

    def take_fit(self, fit: ScalingFit) -> None:
        self.fit = fit

    def take_changes(self) -> None:
        found = (config_changes, data_changes, environment_changes)
        self.changes = tuple(tuple(of(self.cards)) for of in found)

    def take_code(self) -> None:
        self.code = tuple(code_change(self.cards[0], card) for card in self.cards[1:])

    def done(self, unreadable: tuple[str, ...]) -> ComparePage:
        config, data, environment = self.changes
        stages, metrics = _shared(self.cards, self.found)
        return ComparePage(
            choice=self.choice,
            runs=tuple(card.view for card in self.cards),
            names=tuple(names_of(self.cards)),
            unreadable=unreadable,
            problem=self.problem,
            metrics=metrics,
            stages=stages,
            axes=_axes(self.found),
            found=self.found,
            repeat=self.repeat,
            charts=self.charts,
            sizes=tuple(_size(card) for card in self.cards),
            config=config,
            data=data,
            environment=environment,
            code=self.code,
            reasons=self.reasons,
            fit=self.fit,
            problems=self.problems,
        )


def _shared(
    cards: Sequence[RunCard], found: Comparison | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the stages that all runs have curves of, and the metrics shared in this one."""
    if not cards or found is None:
        return (), ()
    order = [seen.stage for seen in cards[0].view.stages]
    stages = [stage for stage in order if all(len(card.curves(stage)) for card in cards)]
    shared = set.intersection(*(set(card.curves(found.stage)) for card in cards))
    first = [name for name in ("val_bpb", "loss") if name in shared]
    # What counts up says nothing about who is better.
    rest = sorted(shared - {*first, "tokens", "train_s", "flops", "epoch"})
    return tuple(stages), (*first, *rest)


def _axes(found: Comparison | None) -> tuple[Axis, ...]:
    if found is None:
        return ()
    return tuple(axis for axis in AXES if all(axis in one.spent for one in found.standings))


def _size(card: RunCard) -> float | None:
    value = card.settings.get("model.num_params")
    return float(value) if isinstance(value, int | float) else None


def _charts(cards: Sequence[RunCard], stage: str, metric: str, axis: Axis) -> tuple[ChartData, ...]:
    wanted = dict.fromkeys((metric, SECOND_METRIC))
    found = (_chart(cards, stage, name, axis) for name in wanted)
    return tuple(chart for chart in found if chart is not None)


def _chart(cards: Sequence[RunCard], stage: str, metric: str, axis: Axis) -> ChartData | None:
    layers, legend = [], []
    names = names_of(cards)
    for place, card in enumerate(cards):
        curve = run_curve(card, stage, metric)
        if curve is None or axis not in curve.x:
            continue
        letter = run_letter(place)
        legend.append(LegendEntry(run=place, letter=letter, name=names[place]))
        layers.append(
            Layer(
                x=curve.x[axis],
                y=smoothed(curve.values),
                role=Role.LINE,
                has_points=len(curve.values) < 50,
                run=place,
                letter=letter,
            )
        )
    if not layers:
        return None
    hint = "" if len(layers) == len(cards) else f"{len(layers)} of {len(cards)} runs"
    return ChartData(
        title=f"{metric} of {stage}",
        layers=tuple(layers),
        axis=axis,
        legend=tuple(legend),
        hint=hint,
    )

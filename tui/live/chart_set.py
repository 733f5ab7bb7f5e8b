"""The charts of one run, or of several overlaid: which there are, and what each shows.

A chart whose curves have not grown is the same object as before, so that it is not drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tui.charts.data import ChartData, LegendEntry, Unit, value_text
from tui.charts.envelope import Span
from tui.charts.names import AxisName
from tui.charts.plot import NO_RUN, Layer, Role, series_layer, span_of
from tui.charts.series import Series
from tui.live import host
from tui.live.axes import COUNTERS, Subject, host_range, host_warp, step_warp, within
from tui.live.state import CLOCK

REPLAYED = "dim: replayed"
# More would be fewer than a page of a large terminal can hold twice.
MAX_CHARTS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartSpec:
    """How a metric is drawn: training steps are noisy, evaluations are points."""

    key: str
    title: str
    unit: Unit = "plain"
    is_noisy: bool = True
    is_host: bool = False


MAIN = (
    ChartSpec(key="loss", title="loss"),
    ChartSpec(key="val_bpb", title="val bpb", is_noisy=False),
    ChartSpec(key="tok_per_sec", title="tokens/s", unit="compact"),
    ChartSpec(key="mfu", title="MFU", unit="percent"),
)
KNOWN = (
    *MAIN,
    ChartSpec(key="grad_norm", title="gradient norm"),
    ChartSpec(key="lrm", title="learning rate x", is_noisy=False),
    ChartSpec(key="loss_ema", title="smoothed loss", is_noisy=False),
    ChartSpec(key="peak_memory_bytes", title="peak memory", unit="bytes", is_noisy=False),
)
HOST = (
    ChartSpec(key=host.GPU_UTIL, title="GPU", unit="percent", is_noisy=False, is_host=True),
    ChartSpec(key=host.GPU_MEMORY, title="GPU memory", unit="bytes", is_noisy=False, is_host=True),
    ChartSpec(key=host.GPU_POWER, title="GPU power", unit="watts", is_noisy=False, is_host=True),
    ChartSpec(
        key=host.GPU_TEMPERATURE, title="GPU heat", unit="celsius", is_noisy=False, is_host=True
    ),
    ChartSpec(key=host.CPU, title="CPU", unit="percent", is_noisy=False, is_host=True),
    ChartSpec(key=host.RAM, title="RAM", unit="bytes", is_noisy=False, is_host=True),
)
# Where the seconds of a step go; measuring and saving are not of every step.
PARTS = (
    ChartSpec(key="time_data_s", title="data, s"),
    ChartSpec(key="time_forward_backward_s", title="forward-backward, s"),
    ChartSpec(key="time_optimizer_s", title="optimizer, s"),
    ChartSpec(key="time_sync_s", title="sync, s"),
    ChartSpec(key="time_eval_s", title="validation, s", is_noisy=False),
    ChartSpec(key="time_save_s", title="saving, s", is_noisy=False),
)


def chart_specs(subjects: Sequence[Subject], *, has_main: bool) -> tuple[ChartSpec, ...]:
    """Return the charts for which there is data; `has_main`: the main ones even without."""
    logged = {key for one in subjects for key, points in one.curves.curves.items() if len(points)}
    known = [spec for spec in KNOWN if spec.key in logged or (has_main and spec in MAIN)]
    parts = [spec for spec in PARTS if spec.key in logged]
    names = {spec.key for spec in (*KNOWN, *PARTS)} | COUNTERS
    others = [ChartSpec(key=key, title=key) for key in sorted(logged - names)]
    machine = [spec for spec in HOST if any(_has_host(one, spec.key) for one in subjects)]
    return (*known, *machine, *parts, *others)[:MAX_CHARTS]


class ChartSet:
    """Makes charts, and remembers what each was made of."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[tuple[object, ...], ChartData]] = {}

    def charts(
        self, subjects: Sequence[Subject], axis: AxisName, *, has_main: bool
    ) -> tuple[tuple[str, ChartData], ...]:
        """Return the charts by the keys of their metrics, in the order of their rank."""
        found = []
        for spec in chart_specs(subjects, has_main=has_main):
            sources = _sources(subjects, spec, axis)
            kept = self._made.get(spec.key)
            if kept is None or len(kept[0]) != len(sources) or not _same(kept[0], sources):
                kept = (sources, make_chart(subjects, spec, axis))
            self._made[spec.key] = kept
            found.append(spec.key)
        shared = _shared_span([self._made[key][1] for key in found], axis)
        for key in found:
            sources, data = self._made[key]
            if data.axis == axis and data.span != shared:
                self._made[key] = (sources, replace(data, span=shared))
        return tuple((key, self._made[key][1]) for key in found)


def make_chart(subjects: Sequence[Subject], spec: ChartSpec, axis: AxisName) -> ChartData:
    """Return one chart of one run, or of several whose runs have numbers and letters."""
    is_overlay = any(one.run != NO_RUN for one in subjects)
    layers: list[Layer] = []
    missing: list[str] = []
    for one in subjects:
        own = _host_layers(one, spec, axis) if spec.is_host else _step_layers(one, spec, axis)
        layers += own
        if not own and len(one.curves.curve(spec.key)):
            missing.append(one.letter)
    first = subjects[0] if subjects else Subject(name="")
    title = spec.title
    if spec.key == "mfu" and first.curves.device == "cpu":
        title = "MFU (CPU probe)"
    data = ChartData(title=title, layers=tuple(layers), unit=spec.unit, axis=axis)
    if spec.is_host and not any(one.has_steps for one in subjects):
        data = ChartData(title=title, layers=tuple(layers), unit=spec.unit, axis="time")
    if is_overlay:
        return ChartData(
            title=title,
            layers=data.layers,
            unit=spec.unit,
            axis=data.axis,
            legend=tuple(
                LegendEntry(run=one.run, letter=one.letter, name=one.name) for one in subjects
            ),
            hint=f"not over {axis}: {', '.join(missing)}" if missing else "",
            warning=_warning(sum(_series(one, spec).num_bad for one in subjects)),
        )
    series = _series(first, spec)
    newest = data.layers[-1].y if spec.is_host and data.layers else series.y
    return ChartData(
        title=title,
        latest=value_text(float(newest[-1]) if len(newest) else None, spec.unit),
        warning=_warning(series.num_bad),
        hint=REPLAYED if first.curves.ghosts.get(spec.key) else "",
        layers=data.layers,
        unit=spec.unit,
        axis=data.axis,
    )


def _step_layers(subject: Subject, spec: ChartSpec, axis: AxisName) -> list[Layer]:
    series = subject.curves.curve(spec.key)
    warp = None if axis == "step" else step_warp(subject, axis)
    if not len(series) and not subject.curves.ghosts.get(spec.key):
        return []
    if axis != "step" and warp is None:
        return []
    run, letter = subject.run, subject.letter
    is_overlaid = run != NO_RUN
    layers = []
    if not is_overlaid:
        ghosts = subject.curves.ghosts.get(spec.key, ())
        layers = [series_layer(ghost, Role.GHOST, warp=warp) for ghost in ghosts]
    if not spec.is_noisy:
        line = series_layer(
            series, Role.LINE, warp=warp, has_points=not is_overlaid, run=run, letter=letter
        )
        return [*layers, line]
    return [
        *layers,
        series_layer(series, Role.RAW, warp=warp, run=run, is_hidden=is_overlaid),
        series_layer(series.smoothed, Role.LINE, warp=warp, run=run, letter=letter),
    ]


def _host_layers(subject: Subject, spec: ChartSpec, axis: AxisName) -> list[Layer]:
    span, warp = host_range(subject), host_warp(subject, axis)
    if span is None or warp is None:
        return []
    x, y = within(subject.host.get(spec.key) or Series(), *span)
    if not len(x):
        return []
    return [Layer(x=x, y=y, role=Role.LINE, warp=warp, run=subject.run, letter=subject.letter)]


def _has_host(subject: Subject, key: str) -> bool:
    span = host_range(subject)
    series = subject.host.get(key)
    return bool(span and series is not None and len(within(series, *span)[0]))


def _series(subject: Subject, spec: ChartSpec) -> Series:
    if spec.is_host:
        return subject.host.get(spec.key) or Series()
    return subject.curves.curve(spec.key)


def _sources(subjects: Sequence[Subject], spec: ChartSpec, axis: AxisName) -> tuple[object, ...]:
    """Return everything that a chart is made of, to be compared by identity."""
    found: list[object] = [axis]
    for one in subjects:
        curves = one.curves.curves
        found += [one.name, one.letter, one.run, one.usd_per_hour, one.curves.device]
        found += [_logged(one, spec), one.curves.ghosts.get(spec.key)]
        if spec.is_host or axis != "step":
            found += [curves.get(key) for key in (CLOCK, "tokens", "train_s", "flops")]
            found += [one.started_s, one.ended_s]
    return tuple(found)


def _logged(subject: Subject, spec: ChartSpec) -> Series | None:
    return (subject.host if spec.is_host else subject.curves.curves).get(spec.key)


def _same(before: tuple[object, ...], after: tuple[object, ...]) -> bool:
    pairs = zip(before, after, strict=True)
    return all(
        old is new or (isinstance(old, str | float | int) and old == new) for old, new in pairs
    )


def _shared_span(charts: Sequence[ChartData], axis: AxisName) -> Span | None:
    """Return the range of the axis that all charts over it show, so that they line up."""
    spans = [span_of(data.layers) for data in charts if data.axis == axis]
    known = [span for span in spans if span is not None]
    if not known:
        return None
    return Span(start=min(one.start for one in known), end=max(one.end for one in known))


def _warning(num_bad: int) -> str:
    return f"{num_bad} NaN" if num_bad else ""

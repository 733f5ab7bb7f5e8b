"""The points of every metric of a stage, read from its event logs as numpy columns.

The curve follows the lineage of attempts: where one resumed from step N, what was done before
beyond N is marked as a ghost and is no data. numpy is imported in functions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runs.codec import is_event, number
from runs.views.facts import EventFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

# Cumulative over attempts: any of them can stand in for the step as the x axis.
AXES = ("tokens", "train_s", "flops")
BLOCK_BYTES = 8 * 1024 * 1024
# Steps beyond it are no steps; it keeps (segment, step) in one 64-bit number.
MAX_STEP = 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """One metric in the order it was logged: parallel arrays; an axis is NaN where unknown."""

    step: Ints
    t: Floats
    attempt: Ints
    value: Floats
    is_ghost: NDArray[np.bool_]
    axes: Mapping[str, Floats]

    def __len__(self) -> int:
        return int(self.step.size)


@dataclass(slots=True)
class _Group:
    """Lines of one segment that hold the same metrics: `values` line after line."""

    keys: tuple[str, ...]
    segment: int
    attempt: int
    lines: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Part:
    """Points of one metric in one segment, which is what follows one start of the stage."""

    segment: int
    attempt: int
    line: Ints
    step: Ints
    t: Floats
    value: Floats


@dataclass(slots=True)
class _Lines:
    """What the lines read so far say; a start opens the next segment."""

    limits: list[int] = field(default_factory=lambda: [MAX_STEP])
    done: list[_Group] = field(default_factory=list)
    open: dict[tuple[str, ...], _Group] = field(default_factory=dict)
    attempt: int = 1
    num: int = 0

    def take(self, body: Mapping[str, Any]) -> None:
        """Take one event into account; whatever is malformed in it changes nothing."""
        kind, step = body["kind"], body.get("step")
        if kind == "start":
            resumed_from = body.get("resumed_from")
            self.close()
            self.limits.append(resumed_from if isinstance(resumed_from, int) else -1)
        elif type(step) is not int or not -MAX_STEP < step < MAX_STEP:
            return
        elif kind == "step":
            metrics = body.get("metrics")
            if isinstance(metrics, dict) and metrics:
                self._add(tuple(metrics), step, body["t"], metrics.values())
        elif kind == "eval" and number(body.get("val_bpb")) is not None:
            self._add(("val_bpb",), step, body["t"], (body["val_bpb"],))

    def close(self) -> None:
        """Let what follows belong to other groups: it is of another file or segment."""
        self.done += self.open.values()
        self.open = {}

    def _add(self, keys: tuple[str, ...], step: int, t: float, values: Iterable[Any]) -> None:
        group = self.open.get(keys)
        if group is None:
            group = _Group(keys, len(self.limits) - 1, self.attempt)
            self.open[keys] = group
        self.num += 1
        group.lines.append(self.num)
        group.steps.append(step)
        group.times.append(t)
        group.values.extend(values)


def read_points(files: Sequence[EventFile]) -> dict[str, Points]:
    """Return the points of every metric in the event logs of a stage, by name in order."""
    lines = _Lines()
    mains = [file for file in files if file.rank == 0]
    for file in sorted(mains, key=lambda file: file.attempt):
        lines.attempt = file.attempt
        for body in _bodies(file.path):
            lines.take(body)
        lines.close()
    parts: dict[str, list[_Part]] = {}
    for group in lines.done:
        for key, part in _split(group):
            parts.setdefault(key, []).append(part)
    # What any later segment resumed from bounds what stays of an earlier one.
    lowest = list(accumulate(reversed(lines.limits), min))[::-1]
    later = [*lowest[1:], MAX_STEP]
    axes = {name: parts[name] for name in AXES if name in parts}
    return {key: _join(parts[key], axes, later) for key in sorted(parts)}


def _bodies(path: Path) -> Iterator[dict[str, Any]]:
    parse = json.JSONDecoder().raw_decode
    for line in _text_lines(path):
        try:
            body, end = parse(line)
        except (ValueError, RecursionError):
            continue
        if end == len(line) and is_event(body):
            yield body


def _text_lines(path: Path) -> Iterator[str]:
    rest = b""
    try:
        with open(path, "rb") as stream:
            while block := stream.read(BLOCK_BYTES):
                whole, newline, after = block.rpartition(b"\n")
                if not newline:
                    rest += block
                    continue
                text = (rest + whole).decode("utf-8", errors="replace")
                rest = after
                for line in text.split("\n"):
                    yield line.strip()
    except OSError:
        return


def _split(group: _Group) -> Iterator[tuple[str, _Part]]:
    import numpy as np

    line = np.asarray(group.lines, dtype=np.int64)
    step = np.asarray(group.steps, dtype=np.int64)
    t = np.asarray(group.times, dtype=np.float64)
    shape = (len(group.steps), len(group.keys))
    is_odd = not set(map(type, group.values)) <= {int, float}
    values = group.values if not is_odd else [number(value) for value in group.values]
    has = np.asarray([value is not None for value in values]).reshape(shape) if is_odd else None
    matrix = np.asarray(values, dtype=np.float64).reshape(shape)
    for column, key in enumerate(group.keys):
        value = np.ascontiguousarray(matrix[:, column])
        part = _Part(
            segment=group.segment, attempt=group.attempt, line=line, step=step, t=t, value=value
        )
        if has is None or has[:, column].all():
            yield key, part
        elif has[:, column].any():
            yield key, _only(part, has[:, column])


def _only(part: _Part, kept: NDArray[np.bool_]) -> _Part:
    return replace(
        part,
        line=part.line[kept],
        step=part.step[kept],
        t=part.t[kept],
        value=part.value[kept],
    )


def _join(
    parts: Sequence[_Part], axes: Mapping[str, Sequence[_Part]], later: Sequence[int]
) -> Points:
    import numpy as np

    step = np.concatenate([part.step for part in parts])
    segment = np.concatenate([np.full(part.step.size, part.segment) for part in parts])
    attempt = np.concatenate([np.full(part.step.size, part.attempt) for part in parts])
    t = np.concatenate([part.t for part in parts])
    value = np.concatenate([part.value for part in parts])
    columns = [_along(parts, segment, step, axes[name]) for name in axes]
    line = np.concatenate([part.line for part in parts])
    # Lines that hold different metrics were gathered apart.
    if (np.diff(line) < 0).any():
        order = np.argsort(line)
        step, segment, attempt, t, value = (
            column[order] for column in (step, segment, attempt, t, value)
        )
        columns = [column[order] for column in columns]
    return Points(
        step=step,
        t=t,
        attempt=attempt,
        value=value,
        is_ghost=step > np.asarray(later)[segment],
        axes=dict(zip(axes, columns, strict=True)),
    )


def _along(parts: Sequence[_Part], segment: Ints, step: Ints, axis: Sequence[_Part]) -> Floats:
    """Return the axis at the given places: its newest value in the segment up to the step."""
    import numpy as np

    if len(parts) == len(axis) and all(a.step is b.step for a, b in zip(parts, axis, strict=True)):
        # The same lines: an axis is logged beside the metrics it belongs to.
        return np.concatenate([part.value for part in axis])
    places = np.concatenate([part.segment * 2 * MAX_STEP + part.step for part in axis])
    values = np.concatenate([part.value for part in axis])
    order = np.argsort(places, kind="stable")
    places, values = places[order], values[order]
    at = np.searchsorted(places, segment * 2 * MAX_STEP + step, side="right") - 1
    found = np.maximum(at, 0)
    is_known = (at >= 0) & (np.floor_divide(places[found] + MAX_STEP, 2 * MAX_STEP) == segment)
    return np.where(is_known, values[found], np.nan)

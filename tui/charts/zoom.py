"""Which part of the x axis is shown: zooming around a place, panning, following the end. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tui.charts.envelope import Span

STEP = 2.0
# Shorter than this share of the whole there is nothing to tell apart any more.
_SHORTEST = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Zoom:
    """A part of the axis by its length; without an `end` it follows the newest points."""

    length: float
    end: float | None = None

    def within(self, full: Span) -> Span:
        """Return the part as it lies in what there is by now."""
        length = min(self.length, full.length)
        end = full.end if self.end is None else min(max(self.end, full.start + length), full.end)
        return Span(start=end - length, end=end)


def shown_span(zoom: Zoom | None, full: Span) -> Span:
    """Return the part of the axis that is shown; all of it without a zoom."""
    return full if zoom is None else zoom.within(full)


def zoomed(zoom: Zoom | None, full: Span, *, factor: float, around: float | None) -> Zoom | None:
    """Return the zoom `factor` times as close; the place `around`, else the end, stays put.

    None when that shows everything.
    """
    span = shown_span(zoom, full)
    length = max(span.length / factor, full.length * _SHORTEST)
    if length >= full.length or full.length <= 0:
        return None
    if around is None or not span.start <= around <= span.end:
        around = span.end
    share = (span.end - around) / span.length if span.length > 0 else 0.0
    return _placed(length, around + share * length, full)


def panned(zoom: Zoom | None, full: Span, *, share: float) -> Zoom | None:
    """Return the zoom moved by a share of its own length; the whole cannot be moved."""
    if zoom is None:
        return None
    span = zoom.within(full)
    return _placed(span.length, span.end + share * span.length, full)


def showing(zoom: Zoom | None, full: Span, place: float) -> Zoom | None:
    """Return the zoom moved just far enough for a place to be seen."""
    span = shown_span(zoom, full)
    if zoom is None or span.start <= place <= span.end:
        return zoom
    return _placed(span.length, place if place > span.end else place + span.length, full)


def _placed(length: float, end: float, full: Span) -> Zoom:
    end = max(end, full.start + length)
    return Zoom(length=length, end=None if end >= full.end else end)

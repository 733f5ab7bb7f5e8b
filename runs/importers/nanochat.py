"""The lines that nanochat and scripts like it print, read as events.

One line per step, with fields between bars: `step 00010/21400 (0.05%) | loss: 10.1 | lrm: 1.00 |
dt: 1234.56ms | tok/sec: 424,000 | mfu: 41.2 | total time: 0.20m`; and lines of their own for
evaluations. Names and units become ours: dt in seconds, mfu as a share, total time as train_s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from runs.events import Eval, Event, Step

_STEP = re.compile(
    r"\s*step\s+(\d+)(?:\s*/\s*(\d+))?\s*(?:\([^)]*\))?\s*[|,]\s*(.*)", re.IGNORECASE
)
_NUMBER = re.compile(
    r"([-+]?(?:nan|inf(?:inity)?|[\d,]*\.?\d+(?:e[-+]?\d+)?))\s*(.*)", re.IGNORECASE
)
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Their name -> ours, and what their figure is multiplied by.
_FIELDS = {
    "loss": ("loss", 1.0),
    "train loss": ("loss", 1.0),
    "training loss": ("loss", 1.0),
    "lrm": ("lrm", 1.0),
    "dt": ("dt_s", 1.0),
    "tok/sec": ("tok_per_sec", 1.0),
    "mfu": ("mfu", 0.01),
    "bf16_mfu": ("mfu", 0.01),
    "grad norm": ("grad_norm", 1.0),
    "grad_norm": ("grad_norm", 1.0),
    "epoch": ("epoch", 1.0),
    "total time": ("train_s", 60.0),
    "validation loss": ("val_loss", 1.0),
    "average reward": ("reward", 1.0),
    "average sequence length": ("sequence_length", 1.0),
}
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 1.0, "h": 60.0, "%": 1.0, "": 1.0}
# Times to come are no measurements.
_LEFT_OUT = frozenset({"eta", "remaining"})
_BPB = frozenset({"validation bpb", "val bpb", "val_bpb"})


def parse_line(line: str) -> Event | None:
    """Return the event that a line of output stands for, or None for any other line."""
    match = _STEP.match(_ANSI.sub("", line))
    if match is None:
        return None
    step = int(match[1])
    total = int(match[2]) if match[2] else None
    metrics: dict[str, float] = {}
    for part in re.split(r"[|]|,\s+(?=[A-Za-z])", match[3]):
        name, colon, text = part.partition(":")
        name = name.strip().lower()
        value = _value(text) if colon else None
        if value is None or name in _LEFT_OUT:
            continue
        if name in _BPB:
            return Eval(step=step, val_bpb=value[0])
        ours, factor = _FIELDS.get(name, (re.sub(r"\W+", "_", name).strip("_"), 1.0))
        if ours == "dt_s" or factor == 60.0:
            factor *= _UNITS.get(value[1], 1.0)
        metrics[ours] = value[0] * factor
    return Step(step=step, total_steps=total, metrics=metrics) if metrics else None


def parse_lines(lines: Iterator[str]) -> Iterator[Event]:
    """Yield the events in the lines of a log; a progress line rewritten in place is many lines."""
    for line in lines:
        for part in line.split("\r"):
            event = parse_line(part)
            if event is not None:
                yield event


class LogReader:
    """Reads the events in what was added to a log since the last call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[Event]:
        """Return the events in the new complete lines; a missing file has none."""
        try:
            with open(self._path, "rb") as stream:
                stream.seek(self._offset)
                chunk = stream.read()
        except OSError:
            return []
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        self._offset += end
        text = chunk[:end].decode("utf-8", errors="replace")
        return list(parse_lines(iter(text.split("\n"))))


def _value(text: str) -> tuple[float, str] | None:
    match = _NUMBER.match(text.strip())
    if match is None:
        return None
    unit = match[2].split()[0].lower() if match[2].split() else ""
    return float(match[1].replace(",", "")), unit

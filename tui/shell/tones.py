"""The few tones that text may have, and which tone each state has. Colours come from the theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

# level-N: the entropy of a token, from sure to guessing. tool: what a program wrote.
Tone = Literal[
    "plain", "quiet", "strong", "active", "good", "warning", "error",
    "level-0", "level-1", "level-2", "level-3", "level-4", "tool",
]  # fmt: skip
LEVEL_TONES: tuple[Tone, ...] = ("level-0", "level-1", "level-2", "level-3", "level-4")
TONE_CLASSES: frozenset[str] = frozenset(f"tone--{name}" for name in get_args(Tone))

# Shared by every widget that writes toned text; `&` is the widget.
TONE_CSS = """
    &> .tone--plain { color: $text; }
    &> .tone--quiet { color: $text-muted; }
    &> .tone--strong { color: $text; text-style: bold; }
    &> .tone--active { color: $text-accent; text-style: bold; }
    &> .tone--good { color: $text-success; }
    &> .tone--warning { color: $text-warning; text-style: bold; }
    &> .tone--error { color: $text-error; text-style: bold; }
    &> .tone--level-0 { color: $text; }
    &> .tone--level-1 { color: $text-primary; }
    &> .tone--level-2 { color: $text-success; }
    &> .tone--level-3 { color: $text-warning; text-style: underline; }
    &> .tone--level-4 { color: $text-error; text-style: bold underline; }
    &> .tone--tool { color: $text-muted; text-style: italic; }
"""

# The runs of one chart, and of its legend; a letter tells them apart without colour.
RUN_CSS = """
    &> .chart--run-0 { color: $text-accent; text-style: bold; }
    &> .chart--run-1 { color: $text-primary; text-style: bold; }
    &> .chart--run-2 { color: $text-success; text-style: bold; }
    &> .chart--run-3 { color: $text-error; text-style: bold; }
    &> .chart--run-4 { color: $text-warning; }
    &> .chart--run-5 { color: $text-secondary; text-style: bold; }
    &> .chart--run-6 { color: $foreground; text-style: bold; }
    &> .chart--run-7 { color: $primary; }
"""

_STATE_TONES: dict[str, Tone] = {
    "running": "active",
    "stopping": "active",
    "finished": "good",
    "queued": "quiet",
    "pending": "quiet",
    "stalled": "warning",
    "stopped": "warning",
    "budget": "warning",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text in one tone."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class ToneLine:
    """One line of toned text."""

    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """The characters alone."""
        return "".join(piece.text for piece in self.pieces)


def state_tone(state: str) -> Tone:
    """Return the tone of a state; whatever went wrong is an error."""
    return _STATE_TONES.get(state, "error")

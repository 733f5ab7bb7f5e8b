"""The few tones that text may have, and which tone each state has. Colours come from the theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["plain", "quiet", "strong", "active", "good", "warning", "error"]

TONE_CLASSES: frozenset[str] = frozenset(
    f"tone--{name}" for name in ("plain", "quiet", "strong", "active", "good", "warning", "error")
)

# Shared by every widget that writes toned text; `&` is the widget.
TONE_CSS = """
    &> .tone--plain { color: $text; }
    &> .tone--quiet { color: $text-muted; }
    &> .tone--strong { color: $text; text-style: bold; }
    &> .tone--active { color: $text-accent; text-style: bold; }
    &> .tone--good { color: $text-success; }
    &> .tone--warning { color: $text-warning; text-style: bold; }
    &> .tone--error { color: $text-error; text-style: bold; }
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

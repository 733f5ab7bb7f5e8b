"""Every glyph the terminal app draws, twice: Unicode and plain ASCII.

The only file of the project with characters outside ASCII. Each state has its own glyph and is
always shown with its word, so neither colour nor shape carries the meaning alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """One set of characters; `is_ascii` tells the charts which dots they may use."""

    is_ascii: bool
    states: Mapping[str, str]
    unknown_state: str
    cursor: str
    separator: str
    bar_full: str
    bar_empty: str
    axis: str
    tick: str
    point: str
    not_a_number: str
    ellipsis: str
    absent: str
    arrow: str
    alert: str
    # A run that a person has marked, and the direction in which a column is sorted.
    mark: str
    ascending: str
    descending: str
    # White space in the tokenizer playground.
    space: str
    line_feed: str
    tab: str
    # From the lowest to the highest, for bars of one character.
    ramp: str

    def state(self, name: str) -> str:
        """Return the glyph of a run or stage state."""
        return self.states.get(name, self.unknown_state)

    def cut(self, text: str, width: int) -> str:
        """Return `text` in at most `width` characters, with an ellipsis where it was cut."""
        if len(text) <= width:
            return text
        return text[: max(width - len(self.ellipsis), 0)] + self.ellipsis[:width]

    def bar(self, share: float, width: int) -> str:
        """Return a progress bar of `width` characters."""
        filled = round(min(max(share, 0.0), 1.0) * width)
        return self.bar_full * filled + self.bar_empty * (width - filled)


UNICODE = Glyphs(
    is_ascii=False,
    states={
        "queued": "◌",
        "pending": "○",
        "running": "●",
        "stalled": "◍",
        "stopping": "◐",
        "finished": "✓",
        "stopped": "■",
        "budget": "$",
        "failed": "✗",
        "crashed": "‼",
        "killed": "†",
        "lost": "?",
        "unreadable": "≠",
    },
    unknown_state="·",
    cursor="▸",
    separator="·",
    bar_full="━",
    bar_empty="─",
    axis="│",
    tick="┤",
    point="•",
    not_a_number="×",
    ellipsis="…",
    absent="–",
    arrow="→",
    alert="▲",
    mark="◆",
    ascending="↑",
    descending="↓",
    space="·",
    line_feed="⏎",
    tab="⇥",
    ramp="▁▂▃▄▅▆▇█",
)

ASCII = Glyphs(
    is_ascii=True,
    states={
        "queued": ".",
        "pending": "o",
        "running": "*",
        "stalled": "~",
        "stopping": "%",
        "finished": "+",
        "stopped": "#",
        "budget": "$",
        "failed": "x",
        "crashed": "!",
        "killed": "k",
        "lost": "?",
        "unreadable": "=",
    },
    unknown_state=".",
    cursor=">",
    separator="-",
    bar_full="#",
    bar_empty="-",
    axis="|",
    tick="+",
    point="o",
    not_a_number="x",
    ellipsis="~",
    absent="-",
    arrow="->",
    alert="!",
    mark="@",
    ascending="^",
    descending="v",
    space=" ",
    line_feed="\\n",
    tab="\\t",
    ramp=".:-=+*#@",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeGlyphs:
    """The lines that join a tree's rows: before a child, before the last one, and below them."""

    fork: str
    last: str
    trunk: str
    gap: str


UNICODE_TREE = TreeGlyphs(fork="├─ ", last="└─ ", trunk="│  ", gap="   ")
ASCII_TREE = TreeGlyphs(fork="+- ", last="`- ", trunk="|  ", gap="   ")

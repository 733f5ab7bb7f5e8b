"""Which way a metric gets better, where its name says so."""

from __future__ import annotations

from typing import Literal

Direction = Literal["down", "up"]

_UP = ("acc", "reward", "score", "core_metric", "mfu", "mbu", "tok_per_sec", "bleu", "pass")
_DOWN = ("loss", "bpb", "perplexity", "ppl", "error_rate")


def direction(key: str) -> Direction | None:
    """Return where a metric's best value lies, or None when its name does not tell."""
    name = key.rsplit(".", 1)[-1].rsplit("/", 1)[-1].lower()
    if any(word in name for word in _DOWN):
        return "down"
    return "up" if any(word in name for word in _UP) else None

"""The built-in texts of different kinds, for a first look at a tokenizer. Torch-free."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("samples.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A short text of one kind."""

    name: str
    text: str


def load_samples() -> tuple[Sample, ...]:
    """Return the samples: prose, code, maths, chat and scripts."""
    body = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(Sample(name=entry["name"], text=entry["text"]) for entry in body["sample"])

"""Writes a small package of made-up English, and runs generators to their end."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TypeVar

from core.settings.text import DataConfig

Result = TypeVar("Result")
SYLLABLES = ("ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "ve", "wi", "zo")
SMALL = DataConfig(num_mid=400, num_sft=200, num_test=40)


def never() -> bool:
    """Do not stop."""
    return False


def drain(steps: Generator[object, None, Result]) -> Result:
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def sentence(rng: random.Random, words: Iterable[str]) -> str:
    """Return a sentence that passes for prose."""
    picked = rng.sample(list(words), 6)
    return (
        f"The {picked[0]} of a {picked[1]} is {picked[2]} when the {picked[3]} has no {picked[4]}."
    )


def write_package(root: Path, *, num_files: int = 24) -> None:
    """Write modules whose docstrings and comments are made-up English."""
    rng = random.Random(7)
    words = [a + b + c for a in SYLLABLES for b in SYLLABLES for c in SYLLABLES[:3]]
    words = rng.sample(words, 240)
    for index in range(num_files):
        paragraphs = ["\n    ".join(sentence(rng, words) for _ in range(3)) for _ in range(6)]
        body = "\n\n    ".join(paragraphs)
        comment = "\n".join(f"# {sentence(rng, words)}" for _ in range(4))
        text = f'def load(path):\n    """{body}\n    """\n    return path\n\n\n{comment}\nX = 1\n'
        directory = root / f"part{index % 3}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"module{index:02d}.py").write_text(text)

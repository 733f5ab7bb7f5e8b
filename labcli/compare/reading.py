"""What was typed after `labcli compare`: prompts and temperatures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labcli.chat.reading import read_stdin
from labcli.flags.sampling import DRAWN_TEMPERATURE
from runs.errors import NotFound, UsageError


def read_prompts(given: Sequence[str], source: str | None) -> list[str]:
    """Return the prompts of the command line, then those of the file.

    Raises:
        NotFound: there is no such file.
        UsageError: there is no prompt, or an empty one.
    """
    from core.experiments.compare.prompts import clean_prompts, lines_of

    asked = list(given)
    if source is not None:
        asked += lines_of(_read(source), "standard input" if source == "-" else source)
    return clean_prompts(asked)


def read_temperatures(text: str | None, num_answers: int) -> list[float]:
    """Return the temperatures to answer at, each once."""
    if text is None:
        return [0.0 if num_answers == 1 else DRAWN_TEMPERATURE]
    try:
        temperatures = [float(word) for word in text.split(",")]
    except ValueError:
        raise UsageError(f"--temperature takes numbers such as 0.6,1.0, not {text!r}") from None
    if not all(0 <= value < float("inf") for value in temperatures):
        raise UsageError(f"every temperature is 0 or more, not {text!r}")
    return list(dict.fromkeys(temperatures))


def _read(source: str) -> str:
    if source == "-":
        return read_stdin()
    try:
        return Path(source).read_text("utf-8", errors="replace")
    except FileNotFoundError:
        raise NotFound(f"no file of prompts at {source}") from None
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror or error}") from None

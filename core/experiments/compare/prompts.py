"""Prompts for models side by side, read from text. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable

from runs.errors import UsageError


def clean_prompts(prompts: Iterable[str]) -> list[str]:
    """Return prompts without repetitions.

    Raises:
        UsageError: there is none, or one is blank.
    """
    found = list(dict.fromkeys(prompts))
    if not found:
        raise UsageError('nothing to ask; write labcli compare "a question", or --prompts FILE')
    if not all(prompt.strip() for prompt in found):
        raise UsageError("a prompt is empty; write what the models should answer")
    return found


def lines_of(text: str, source: str) -> list[str]:
    """Return the lines of a file of prompts that are not blank.

    Raises:
        UsageError: there is none.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise UsageError(f"{source} holds no prompt; write one per line")
    return lines

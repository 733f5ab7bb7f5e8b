"""Where one text departs from another, as both grow. Pure."""

from __future__ import annotations


def text_departure(first: str, own: str, *, is_whole: bool) -> int | None:
    """Return the first character in which two texts differ.

    None as long as one begins with the other and they are not whole, and when both are equal.
    """
    shorter = min(len(first), len(own))
    for index in range(shorter):
        if first[index] != own[index]:
            return index
    return None if len(first) == len(own) or not is_whole else shorter

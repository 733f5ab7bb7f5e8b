"""Names for runs: a sortable identifier for files and a slug for people."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Container

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SYMBOLS = frozenset(_ALPHABET)
_ADJECTIVES = (
    "amber", "bold", "brisk", "calm", "clear", "coral", "crisp", "dapper", "dusky", "eager",
    "early", "fond", "gentle", "golden", "hazel", "honest", "ivory", "jolly", "keen", "kind",
    "lively", "lucid", "lunar", "mellow", "merry", "misty", "nimble", "noble", "olive", "opal",
    "patient", "placid", "quick", "quiet", "rapid", "rosy", "ruby", "rustic", "sable", "silver",
    "sleek", "solar", "spry", "steady", "sunny", "swift", "tidy", "vivid", "warm", "witty",
)  # fmt: skip
_NOUNS = (
    "badger", "bear", "bison", "crane", "crow", "deer", "dove", "eagle", "egret", "falcon",
    "ferret", "finch", "fox", "gecko", "goose", "hare", "hawk", "heron", "ibex", "ibis", "jay",
    "koala", "lark", "lemur", "lion", "loon", "lynx", "magpie", "marten", "mole", "moose", "newt",
    "otter", "owl", "panda", "plover", "puffin", "quail", "raven", "robin", "seal", "shrew",
    "sparrow", "stoat", "stork", "swan", "tapir", "tern", "toad", "trout", "vole", "walrus",
    "weasel", "wolf", "wren",
)  # fmt: skip


def new_ulid(
    *,
    clock: Callable[[], float] = time.time,
    entropy: Callable[[int], bytes] = os.urandom,
) -> str:
    """Return 26 characters that sort by creation time: 48 bits of milliseconds, 80 random."""
    value = (round(clock() * 1000) << 80) | int.from_bytes(entropy(10), "big")
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))


def is_ulid(text: str) -> bool:
    """Return whether `text` has the form of a run identifier."""
    return len(text) == 26 and _SYMBOLS.issuperset(text) and text[0] in "01234567"


def ulid_time_s(run_id: str) -> float:
    """Return when a run was created, in Unix seconds; 0 for what is no identifier."""
    if not is_ulid(run_id):
        return 0.0
    milliseconds = 0
    for char in run_id[:10]:
        milliseconds = milliseconds * 32 + _ALPHABET.index(char)
    return milliseconds / 1000


def new_slug(recipe: str, taken: Container[str], rng: random.Random) -> str:
    """Return a name such as "speedrun-amber-fox" that is not among the taken ones."""
    for _ in range(50):
        slug = f"{recipe}-{rng.choice(_ADJECTIVES)}-{rng.choice(_NOUNS)}"
        if slug not in taken:
            return slug
    number = 2
    while f"{slug}-{number}" in taken:
        number += 1
    return f"{slug}-{number}"

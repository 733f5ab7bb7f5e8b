"""Where the playground gets its tokenizers from; the command that opens the app fills it in.

The resolver of names lies above this package, so it comes as callables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from runs.errors import NotFound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.tokenizer import Tokenizer

    Counts = NDArray[np.int64]


class NamedTokenizer(Protocol):
    """A tokenizer, a short name to show for it, and where it came from."""

    @property
    def name(self) -> str:
        """What to call it."""

    @property
    def source(self) -> str:
        """Its file."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The vocabulary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A tokenizer that can be had: what to ask for, of what kind it is, and a remark."""

    ref: str
    kind: str
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusCounts:
    """How often each id occurs in a corpus, int64 [vocab_size], and what the corpus is called."""

    corpus: str
    counts: Counts


def no_choices() -> tuple[Choice, ...]:
    """Return nothing to choose from."""
    return ()


def load_nothing(ref: str | None) -> NamedTokenizer:
    """Raise NotFound for every name."""
    raise NotFound(f"no tokenizer {ref or ''} is at hand here; open it with labcli tui playground")


def count_nothing(tokenizer: Tokenizer) -> CorpusCounts | None:
    """Return no counts: there is no corpus."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabularies:
    """How tokenizers are listed, loaded and counted; each may take seconds and raise LabError.

    `load(None)` gives the default one. `count` reads the corpus of the lab home.
    """

    choices: Callable[[], tuple[Choice, ...]] = no_choices
    load: Callable[[str | None], NamedTokenizer] = load_nothing
    count: Callable[[Tokenizer], CorpusCounts | None] = count_nothing

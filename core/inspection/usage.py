"""How often each token occurs in texts, and which never do. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.tokenizer import Tokenizer

Counts = NDArray[np.int64]


def token_counts(tokenizer: Tokenizer, texts: Sequence[str]) -> Counts:
    """Return how often each id occurs in the texts, int64 [vocab_size]; specials never do."""
    counts = np.zeros(tokenizer.vocab_size, dtype=np.int64)
    found = tokenizer.bulk.count_tokens(texts)
    counts[: len(found)] = found
    return counts


def never_used(tokenizer: Tokenizer, counts: Counts) -> NDArray[np.int64]:
    """Return the ids that occur nowhere, specials aside, ascending."""
    return np.flatnonzero(counts[: -tokenizer.num_specials] == 0).astype(np.int64)

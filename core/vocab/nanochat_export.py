"""Our tokenizer in nanochat's layout: a pickled tiktoken.Encoding and the lengths of its tokens."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping

import tiktoken
import torch

from core.tokenizer import SPECIAL_TOKENS, Tokenizer
from core.vocab.nanochat import PICKLE_NAME, TOKEN_BYTES_NAME

# The name that nanochat gives to its encoding.
ENCODING_NAME = "rustbpe"


def nanochat_files(tokenizer: Tokenizer) -> Mapping[str, bytes]:
    """Return the files of nanochat's tokenizer directory by name."""
    encoding = tiktoken.Encoding(
        ENCODING_NAME,
        pat_str=tokenizer.pattern,
        mergeable_ranks=dict(tokenizer.mergeable_ranks),
        special_tokens={name: tokenizer.special(name) for name in SPECIAL_TOKENS},
    )
    lengths = io.BytesIO()
    torch.save(torch.from_numpy(tokenizer.token_bytes_lengths()), lengths)
    # The protocol of every Python that nanochat supports.
    return {PICKLE_NAME: pickle.dumps(encoding, 4), TOKEN_BYTES_NAME: lengths.getvalue()}

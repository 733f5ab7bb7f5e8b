"""Documents of a corpus, for what made-up words cannot show: how well a model learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from core.bench.documents import Documents
from core.data.packing import PackedRows
from core.data.shards import read_texts
from core.loss import bits_per_byte
from core.model import GPT
from core.tokenizer import Tokenizer
from core.vocab.sources import find_sources
from core.vocab.training import train_tokenizer
from runs.errors import UsageError

HELD_OUT_ROWS = 128
_ROWS_PER_PASS = 8


def write_tokenizer(corpus: Path, vocab_size: int, path: Path) -> None:
    """Train a tokenizer of a corpus' training text and save it.

    Raises:
        UsageError: the text ran out of pairs before there were so many ids.
    """
    trained = train_tokenizer(find_sources([str(corpus)]), vocab_size=vocab_size)
    assert trained is not None, "nothing told it to stop"
    found = trained.tokenizer.vocab_size
    if found != vocab_size:
        raise UsageError(f"the corpus has pairs for {found} ids, not {vocab_size}; lower --vocab")
    trained.tokenizer.save(path)


def read_documents(corpus: Path, tokenizer: Path, split: str, *, seed: int) -> Documents:
    """Return the documents of "train" or "val", in the order of a seed."""
    vocabulary = Tokenizer.from_file(tokenizer)
    texts = list(read_texts(corpus, split))
    order = np.random.default_rng(seed).permutation(len(texts))
    return Documents(
        tokenizer=vocabulary,
        texts=tuple(texts[place] for place in order),
        ids=tuple(vocabulary.bulk.encode(texts[place]).astype(np.int64) for place in order),
    )


def held_out_bpb(model: GPT, documents: Documents, *, row_len: int) -> float:
    """Return the bits per byte of the same rows for every model, computed in float32."""
    rows = PackedRows(
        documents.split(), row_len=row_len, pad=documents.tokenizer.bos, seed=0, crop=True
    )
    device = next(model.parameters()).device
    token_bytes_V = torch.from_numpy(documents.tokenizer.token_bytes_lengths()).to(device)
    firsts = range(0, min(HELD_OUT_ROWS, rows.epoch(0).num_rows), _ROWS_PER_PASS)
    batches = (
        (torch.from_numpy(idx_BT).to(device), torch.from_numpy(targets_BT).to(device))
        for idx_BT, targets_BT in (rows.batch(first, _ROWS_PER_PASS) for first in firsts)
    )
    trained_dtype, model.dtype = model.dtype, torch.float32
    bpb = bits_per_byte(model, batches, token_bytes_V)
    model.dtype = trained_dtype
    return bpb

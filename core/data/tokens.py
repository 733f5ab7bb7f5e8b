"""Tokenised documents: the memory-mapped cache of a corpus, and ragged arrays in memory.

The cache lies in the corpus directory, one folder per tokenizer, and is shared by all runs.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.data.shards import Split, load_manifest, read_arrays
from core.tokenizer import Tokenizer
from runs.errors import Corrupt
from runs.events import Progress

SPLITS: tuple[Split, ...] = ("train", "val")
TokenArray = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSplit:
    """Documents end to end: document i is tokens[offsets[i] : offsets[i + 1]]."""

    tokens: TokenArray
    offsets: Ints
    mask: npt.NDArray[np.bool_] | None = None

    @property
    def lengths(self) -> Ints:
        """Tokens per document."""
        return np.diff(self.offsets)

    @property
    def num_tokens(self) -> int:
        """Tokens in all documents."""
        return int(self.offsets[-1])

    def document(self, index: int, length: int) -> tuple[TokenArray, npt.NDArray[np.bool_] | bool]:
        """Return the first `length` tokens of a document and which of them count as targets."""
        start = int(self.offsets[index])
        ids = self.tokens[start : start + length]
        return ids, True if self.mask is None else self.mask[start : start + length]


def ragged(
    documents: Iterable[tuple[Sequence[int], Sequence[int]]],
    *,
    is_wide: bool = False,
) -> TokenSplit:
    """Return documents given as (ids, loss mask) as one split in memory; wide ids take 32 bits."""
    ids: list[int] = []
    mask: list[int] = []
    offsets = [0]
    for document, counted in documents:
        ids.extend(document)
        mask.extend(counted)
        offsets.append(len(ids))
    return TokenSplit(
        tokens=np.array(ids, dtype=np.uint32) if is_wide else np.array(ids, dtype=np.uint16),
        offsets=np.array(offsets, dtype=np.int64),
        mask=np.array(mask, dtype=bool),
    )


def cache_dir(corpus_dir: Path, tokenizer: Tokenizer) -> Path:
    """Return where the cache of this corpus lies for this tokenizer."""
    return corpus_dir / f"tokens-{tokenizer.hash[:16]}"


def build_token_cache(corpus_dir: Path, tokenizer: Tokenizer) -> Iterator[Progress]:
    """Tokenise a corpus unless it is done already, telling how far it is.

    Every document starts with the bos token. The folder is built aside and renamed under a
    lock, so that ranks and runs that come at once build it a single time.
    """
    target = cache_dir(corpus_dir, tokenizer)
    with open(corpus_dir / ".tokens.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return
        aside = target.with_name(target.name + ".partial")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        total = sum(shard.num_docs for shard in load_manifest(corpus_dir).shards)
        done = 0
        for split in SPLITS:
            for count in _encode_split(corpus_dir, tokenizer, split, aside):
                done += count
                yield Progress(done=done, total=total, unit="documents", label="tokenising")
        aside.replace(target)


def _encode_split(
    corpus_dir: Path, tokenizer: Tokenizer, split: Split, directory: Path
) -> Iterator[int]:
    offsets = [np.zeros(1, dtype=np.int64)]
    num_tokens = 0
    with open(directory / f"{split}.tokens", "wb") as stream:
        for texts in read_arrays(corpus_dir, split):
            ids, starts = tokenizer.bulk.encode_arrow(texts, prefix=tokenizer.bos)
            ids.astype(tokenizer.id_dtype, copy=False).tofile(stream)
            offsets.append(starts[1:] + num_tokens)
            num_tokens += len(ids)
            yield len(texts)
        stream.flush()
        os.fsync(stream.fileno())
    every = np.concatenate(offsets)
    np.save(directory / f"{split}.offsets.npy", every)
    meta = {"v": 1, "num_tokens": num_tokens, "num_docs": len(every) - 1}
    (directory / f"{split}.json").write_text(json.dumps(meta))


def open_token_cache(corpus_dir: Path, tokenizer: Tokenizer, split: Split) -> TokenSplit:
    """Return a split of a built cache, memory-mapped; Corrupt when its files disagree."""
    directory = cache_dir(corpus_dir, tokenizer)
    return open_tokens(
        directory / f"{split}.tokens", directory / f"{split}.offsets.npy", tokenizer.id_dtype
    )


def open_tokens(path: Path, offsets_path: Path, id_dtype: npt.DTypeLike) -> TokenSplit:
    """Return tokens and their offsets from two files; Corrupt when the files disagree."""
    offsets = np.load(offsets_path, allow_pickle=False)
    dtype = np.dtype(id_dtype)
    if path.stat().st_size != dtype.itemsize * int(offsets[-1]):
        raise Corrupt(f"token cache {path.parent} is damaged; delete that folder and run again")
    # An empty file cannot be mapped.
    tokens = np.memmap(path, dtype=dtype, mode="r") if offsets[-1] else np.zeros(0, dtype)
    return TokenSplit(tokens=tokens, offsets=offsets)

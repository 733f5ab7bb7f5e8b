"""The text that a training stage reads: its tokens made or brought, and its rows.

Whether tokens are kept on disk is decided here, when a stage starts, and changes no row: only how
much is at hand. Encoding is far faster than training: one core made 6 million tokens a second of a
vocabulary of 32,768 in text that it had not seen, and training a d24 on eight H100s reads one to
two million, with what packing drops. A window that is encoded ahead holds no training up.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from core.data.arrivals import Errand, bringing
from core.data.growing import GrowingRows
from core.data.packing import PackedRows, Rows
from core.data.parts import Part, text_parts
from core.data.row_plans import Packing, share_dropped
from core.data.shards import load_manifest
from core.data.token_cache import (
    TokenCache,
    build_tokens,
    build_validation,
    open_shards,
    open_validation,
)
from core.data.tokens import Ints
from core.settings.training import PackingChoice, TokenCacheChoice
from core.stages.context import StageContext
from core.tokenizer import Tokenizer
from runs.events import Event, Note

Found = TypeVar("Found")

# Text that is read up to four times teaches almost as much as new text (arXiv 2305.16264). Where
# best fit would read it more often, rows without waste are taken, if it drops as much as this.
MANY_PASSES = 4
MUCH_DROPPED = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The training text of a stage: where its tokens come from, and whether they are kept."""

    cache: TokenCache
    parts: tuple[Part, ...]
    tokenizer_path: Path
    is_kept: bool

    @property
    def is_whole(self) -> bool:
        """Whether all of it is at hand once it is prepared."""
        return len(self.parts) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RowShape:
    """How rows are made: their length in tokens, their seed, their packing."""

    row_len: int
    seed: int
    packing: Packing = "best-fit"


def find_cache(ctx: StageContext, tokenizer: Tokenizer) -> TokenCache:
    """Return the token cache of a stage's corpus, with a window of the stage's own."""
    return TokenCache(
        corpus_dir=ctx.input("corpus").path,
        tokenizer=tokenizer,
        window=ctx.artifacts_dir / "window",
    )


def find_text(
    ctx: StageContext,
    cache: TokenCache,
    choice: TokenCacheChoice,
    *,
    num_parts: int | None = None,
    reserved_bytes: int = 0,
) -> Text:
    """Return the training text of a stage, or its first parts, and decide what is kept.

    The validation text has been built. reserved_bytes: what else the stage needs of the disk.
    """
    parts = text_parts(load_manifest(cache.corpus_dir))[:num_parts]
    is_kept = choice != "none"
    # One part takes the same room in the cache as in a window.
    if choice == "auto" and len(parts) > 1:
        free_bytes = shutil.disk_usage(cache.corpus_dir).free
        is_kept = missing_bytes(cache, parts) + reserved_bytes <= free_bytes
    return Text(
        cache=cache,
        parts=parts,
        tokenizer_path=ctx.input("tokenizer").path,
        is_kept=is_kept,
    )


def missing_bytes(cache: TokenCache, parts: tuple[Part, ...]) -> int:
    """Return what the tokens and the text that are not here will take, about.

    A character gives as many tokens as in the validation text, which has been built.
    """
    manifest = load_manifest(cache.corpus_dir)
    known = {shard.name: shard for shard in manifest.shards}
    chars_per_byte = manifest.num_chars / max(1, manifest.num_bytes)
    val_chars = sum(shard.num_chars for shard in manifest.shards if shard.split == "val")
    bytes_per_char = (
        open_validation(cache).num_tokens
        * np.dtype(cache.tokenizer.id_dtype).itemsize
        / max(1, val_chars)
    )
    later = {shard.name: shard for shard in manifest.later}
    total = 0.0
    for name in (name for part in parts for name in part):
        num_bytes = known[name].bytes if name in known else later[name].bytes
        if not (cache.corpus_dir / name).exists():
            total += num_bytes
        if cache.find(name) is None:
            total += num_bytes * chars_per_byte * bytes_per_char
    return int(total)


def prepare_validation(cache: TokenCache) -> Iterator[Event]:
    """Build the tokens of the validation text, for all runs."""
    yield from build_validation(cache)


def prepare_text(text: Text, ctx: StageContext) -> Iterator[Event]:
    """Build what must be there before the first step, and say how the rest comes."""
    if text.is_whole:
        yield from build_tokens(text.cache, text.parts[0], is_kept=text.is_kept)
    elif ctx.rank == 0:
        if text.is_kept:
            manifest = load_manifest(text.cache.corpus_dir)
            here = {shard.name for shard in manifest.shards}
            first = [name for name in text.parts[0] if name in here]
            yield from build_tokens(text.cache, first)
        yield _note(text)


def until_stopped(
    events: Generator[Event, None, Found], stop: Callable[[], bool]
) -> Generator[Event, None, Found | None]:
    """Pass on events and return what they return; None when told to stop between two of them."""
    with closing(events):
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                found: Found = end.value
                return found
            yield event
            if stop():
                return None


@contextmanager
def reading(text: Text, ctx: StageContext, shape: RowShape) -> Iterator[Rows]:
    """Yield the rows of prepared text; while the block runs, the rest of it is brought."""
    cache = text.cache
    assert cache.window is not None
    with ExitStack() as stack:
        if text.is_whole:
            if not text.is_kept and ctx.rank == 0:
                stack.callback(shutil.rmtree, cache.window, ignore_errors=True)
            yield PackedRows(
                open_shards(cache, text.parts[0]),
                row_len=shape.row_len,
                pad=cache.tokenizer.bos,
                seed=shape.seed,
                crop=True,
                packing=shape.packing,
            )
        else:
            errand = Errand(
                corpus_dir=cache.corpus_dir,
                tokenizer_path=text.tokenizer_path,
                data_dir=ctx.data_dir,
                window=cache.window,
                names=tuple(name for part in text.parts for name in part),
                is_kept=text.is_kept,
            )
            arrivals = stack.enter_context(
                bringing(cache, text.parts, errand, is_first_rank=ctx.rank == 0)
            )
            yield GrowingRows(
                cache,
                text.parts,
                row_len=shape.row_len,
                pad=cache.tokenizer.bos,
                seed=shape.seed,
                packing=shape.packing,
                bringing=arrivals,
            )


def choose_packing(
    choice: PackingChoice, lengths: Ints, *, row_len: int, seed: int, num_rows: int
) -> Packing:
    """Return how documents go into rows; `num_rows` of them are trained on. Pure.

    Best fit, whose rows begin with a document, unless it drops much of a text so small that it
    would be read many times.
    """
    if choice != "auto":
        return choice
    dropped = share_dropped(lengths, row_len, seed=seed)
    kept_rows = (1 - dropped) * int(lengths.sum()) / (row_len + 1)
    return "flat" if dropped >= MUCH_DROPPED and num_rows > MANY_PASSES * kept_rows else "best-fit"


def text_packing(text: Text, choice: PackingChoice, shape: RowShape, *, num_rows: int) -> Packing:
    """Return how prepared text goes into rows: text of many parts is never too small."""
    if not text.is_whole:
        return "best-fit" if choice == "auto" else choice
    lengths = open_shards(text.cache, text.parts[0]).lengths
    return choose_packing(
        choice, lengths, row_len=shape.row_len, seed=shape.seed, num_rows=num_rows
    )


def _note(text: Text) -> Note:
    how = (
        "tokens are kept on disk, for all runs"
        if text.is_kept
        else "tokens are made while training goes on and not kept: one part and the next are at "
        "hand"
    )
    return Note(
        message=f"{len(text.parts)} parts of text, read one after the other; {how}",
        data={"num_parts": len(text.parts), "is_token_cache_kept": text.is_kept},
    )

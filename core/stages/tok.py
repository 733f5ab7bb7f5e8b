"""The `tok` stage: the tokenizer, trained on the corpus. Torch-free."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from core._bpe import Trainer, WordCounter
from core.bpe import NUM_BYTES
from core.data.shards import load_manifest, read_arrays, read_texts
from core.settings.text import TokConfig
from core.stages.context import CheckpointRef, StageContext
from core.tokenizer import SPLIT_PATTERN, Tokenizer
from runs.errors import StageFailed
from runs.events import Alert, Artifact, End, Event, Note, Progress

# The merge loop tells its progress about this many times.
NUM_MERGE_REPORTS = 50
# Compression is measured on the first characters of a split: enough for three digits.
MEASURED_CHARS = 1_000_000


def run(
    config: TokConfig,
    ctx: StageContext,
    *,
    stop: Callable[[], bool],
    resume: CheckpointRef | None,
) -> Iterator[Event]:
    """Train a tokenizer and write artifacts_dir/tokenizer.json; rank 0 does it alone.

    It takes seconds, so there are no checkpoints: a stopped attempt starts again.
    """
    if ctx.rank != 0:
        return
    started = time.monotonic()
    corpus = ctx.input("corpus")
    counter = WordCounter(
        SPLIT_PATTERN, max_chars=config.max_chars, max_doc_chars=config.max_doc_chars
    )
    yield from _count(counter, corpus.path, config.max_chars, stop)
    if stop():
        yield End(reason="stopped")
        return
    trainer = counter.trainer(config.vocab_size - NUM_BYTES - Tokenizer.num_specials)
    yield from _merge(trainer, config, stop)
    if stop():
        yield End(reason="stopped")
        return
    tokenizer = Tokenizer(
        trainer.merges(),
        trained_on={
            "corpus_sha256": corpus.sha256,
            "num_docs": counter.num_docs,
            "num_chars": counter.num_chars,
            "max_doc_chars": config.max_doc_chars,
        },
    )
    path = ctx.artifacts_dir / "tokenizer.json"
    sha256 = tokenizer.save(path)
    train_s = time.monotonic() - started
    if tokenizer.vocab_size < config.vocab_size:
        yield Alert(
            code="small-vocabulary",
            severity="warning",
            message=f"the corpus ran out of pairs at {tokenizer.vocab_size} of "
            f"{config.vocab_size} tokens; use more text or a smaller tok.vocab_size",
        )
    size = path.stat().st_size
    yield Artifact(name="tokenizer", path=ctx.relative(path), bytes=size, sha256=sha256)
    yield _statistics(tokenizer, corpus.path, train_s)


def _count(
    counter: WordCounter, corpus_dir: Path, max_chars: int, stop: Callable[[], bool]
) -> Iterator[Event]:
    shards = load_manifest(corpus_dir).shards
    total = min(max_chars, sum(shard.num_chars for shard in shards if shard.split == "train"))
    for texts in read_arrays(corpus_dir, "train"):
        wants_more = _feed(counter, texts)
        yield Progress(done=counter.num_chars, total=total, unit="chars", label="counting words")
        if stop() or not wants_more:
            return


def _feed(counter: WordCounter, texts: pa.StringArray) -> bool:
    try:
        return counter.feed_arrow(texts)
    except ValueError as error:
        raise StageFailed(f"the corpus could not be split into words: {error}") from None


def _merge(trainer: Trainer, config: TokConfig, stop: Callable[[], bool]) -> Iterator[Event]:
    total = config.vocab_size - NUM_BYTES - Tokenizer.num_specials
    step = max(1, total // NUM_MERGE_REPORTS)
    while not (trainer.is_done or stop()):
        done = trainer.advance(step)
        yield Progress(done=done, total=total, unit="merges", label="merging pairs")


def _statistics(tokenizer: Tokenizer, corpus_dir: Path, train_s: float) -> Note:
    lengths = tokenizer.token_bytes_lengths()[: -tokenizer.num_specials]
    data: dict[str, float] = {
        "vocab_size": tokenizer.vocab_size,
        "num_specials": tokenizer.num_specials,
        "train_s": round(train_s, 3),
        "token_bytes_min": int(lengths.min()),
        "token_bytes_max": int(lengths.max()),
        "token_bytes_mean": round(float(lengths.mean()), 3),
        "token_bytes_std": round(float(lengths.std()), 3),
        "num_docs": tokenizer.trained_on["num_docs"],
        "num_chars": tokenizer.trained_on["num_chars"],
    }
    data |= _compression(tokenizer, corpus_dir)
    return Note(message="tokenizer trained", data=data)


def _compression(tokenizer: Tokenizer, corpus_dir: Path) -> Mapping[str, float]:
    """Return UTF-8 bytes per token on the start of both splits; an empty split has no figure."""
    ratios = {}
    for split in ("train", "val"):
        text = _start(corpus_dir, split)
        num_tokens = len(tokenizer.bulk.encode(text))
        if num_tokens:
            num_bytes = len(text.encode("utf-8", errors="replace"))
            ratios[f"bytes_per_token_{split}"] = round(num_bytes / num_tokens, 4)
    return ratios


def _start(corpus_dir: Path, split: str) -> str:
    """Return the first MEASURED_CHARS characters of a split."""
    held: list[str] = []
    room = MEASURED_CHARS
    for text in read_texts(corpus_dir, split):
        held.append(text[:room])
        room -= len(held[-1])
        if room == 0:
            break
    return "".join(held)

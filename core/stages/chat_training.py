"""What `mid` and `sft` share: packed, masked conversations on a parent checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import torch

from core import checkpoint
from core.data.conversation_rows import render_conversations
from core.data.mixtures import MixedRows
from core.data.packing import PackedRows, Rows
from core.data.prefetch import PrefetchedRows
from core.data.reading import (
    RowShape,
    find_cache,
    find_text,
    prepare_text,
    prepare_validation,
    reading,
)
from core.data.shards import load_manifest
from core.data.token_cache import open_validation
from core.device import pick_device, set_up_device, training_dtype
from core.model import GPT
from core.ranks import join
from core.settings.training import ChatTrainConfig
from core.stages.context import CheckpointRef, StageContext
from core.tokenizer import Tokenizer
from core.train.garbage import collecting_rarely
from core.train.job import Training
from core.train.loop import train
from runs.errors import UsageError
from runs.events import Event


def train_on_conversations(
    config: ChatTrainConfig,
    ctx: StageContext,
    *,
    file_name: str,
    stop: Callable[[], bool],
    resume: CheckpointRef | None,
) -> Iterator[Event]:
    """Fine-tune the parent checkpoint on one file of the conversations directory."""
    device = pick_device(ctx.device)
    set_up_device(device)
    tokenizer = Tokenizer.from_file(ctx.input("tokenizer").path)
    cache = find_cache(ctx, tokenizer)
    yield from prepare_validation(cache)
    model = _model(config, ctx, tokenizer, device, resume)
    row_len = model.config.sequence_len
    conversations = PackedRows(
        render_conversations(ctx.input("conversations").path / file_name, tokenizer),
        row_len=row_len,
        pad=tokenizer.bos,
        seed=config.seed,
        crop=False,
    )
    # Conversations are few: the first part of the text has pages enough beside them.
    text = find_text(ctx, cache, config.token_cache, num_parts=1)
    # Another seed than pretraining: its first rows are those the model saw first.
    rows_of = RowShape(row_len=row_len, seed=config.seed + 1)
    with ExitStack() as stack:
        pages = None
        if config.text_every is not None:
            yield from prepare_text(text, ctx)
            pages = stack.enter_context(reading(text, ctx, rows_of))
        rows, rows_per_pass = with_text(conversations, pages, config)
        one_pass = max(1, rows_per_pass * row_len // config.total_batch_size)
        ranks = stack.enter_context(join(ctx.rank, ctx.world_size, device))
        job = Training(
            ctx=ctx,
            config=config,
            ranks=ranks,
            model=model,
            tokenizer=tokenizer,
            rows=stack.enter_context(PrefetchedRows(rows)),
            validation=open_validation(cache),
            val_sha256=load_manifest(cache.corpus_dir).val_sha256,
            total_steps=config.num_iterations or config.epochs * one_pass,
            lr_scale=config.init_lr_frac,
            sample_chat=True,
        )
        yield from collecting_rarely(train(job, stop=stop, resume=resume))


def _model(
    config: ChatTrainConfig,
    ctx: StageContext,
    tokenizer: Tokenizer,
    device: torch.device,
    resume: CheckpointRef | None,
) -> GPT:
    """Return the parent's model, or this stage's own where it goes on."""
    parent = ctx.input("checkpoint").path
    if checkpoint.read_meta(parent).tokenizer_sha256 != tokenizer.hash:
        raise UsageError(f"checkpoint {parent} was trained with another tokenizer; name its own")
    torch.manual_seed(config.seed)
    path = parent if resume is None else resume.path
    return checkpoint.load_model(path, device=device, dtype=training_dtype(config.dtype, device))


def with_text(
    conversations: PackedRows, pages: Rows | None, config: ChatTrainConfig
) -> tuple[Rows, int]:
    """Return the rows to train on, and how many of them hold every conversation once."""
    num_rows = conversations.epoch(0).num_rows
    if config.text_every is None or pages is None:
        return conversations, num_rows
    every = config.text_every
    return MixedRows(conversations, pages, every=every), num_rows * every // (every - 1)

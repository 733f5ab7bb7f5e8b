"""What `mid` and `sft` share: packed, masked conversations on a parent checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from core import checkpoint
from core.config import ChatTrainConfig
from core.data.conversation_rows import render_conversations
from core.data.mixtures import MixedRows
from core.data.packing import PackedRows, Rows
from core.data.shards import load_manifest
from core.data.tokens import TokenSplit, build_token_cache, open_token_cache
from core.device import pick_device, set_up_matmuls, training_dtype
from core.ranks import join
from core.stages.context import CheckpointRef, StageContext
from core.tokenizer import Tokenizer
from core.train.loop import Training, train
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
    set_up_matmuls(device)
    tokenizer = Tokenizer.from_file(ctx.input("tokenizer").path)
    corpus = ctx.input("corpus").path
    yield from build_token_cache(corpus, tokenizer)
    parent = ctx.input("checkpoint").path
    if checkpoint.read_meta(parent).tokenizer_sha256 != tokenizer.hash:
        raise UsageError(f"checkpoint {parent} was trained with another tokenizer; name its own")
    torch.manual_seed(config.seed)
    model = checkpoint.load_model(
        parent if resume is None else resume.path,
        device=device,
        dtype=training_dtype(config.dtype, device),
    )
    row_len = model.config.sequence_len
    conversations = PackedRows(
        render_conversations(ctx.input("conversations").path / file_name, tokenizer),
        row_len=row_len,
        pad=tokenizer.bos,
        seed=config.seed,
        crop=False,
    )
    rows, rows_per_pass = with_text(
        conversations,
        open_token_cache(corpus, tokenizer, "train"),
        config,
        row_len=row_len,
        pad=tokenizer.bos,
    )
    one_pass = max(1, rows_per_pass * row_len // config.total_batch_size)
    with join(ctx.rank, ctx.world_size, device) as ranks:
        job = Training(
            ctx=ctx,
            config=config,
            ranks=ranks,
            model=model,
            tokenizer=tokenizer,
            rows=rows,
            validation=open_token_cache(corpus, tokenizer, "val"),
            val_sha256=load_manifest(corpus).val_sha256,
            total_steps=config.num_iterations or config.epochs * one_pass,
            lr_scale=config.init_lr_frac,
            sample_chat=True,
        )
        yield from train(job, stop=stop, resume=resume)


def with_text(
    conversations: PackedRows,
    text: TokenSplit,
    config: ChatTrainConfig,
    *,
    row_len: int,
    pad: int,
) -> tuple[Rows, int]:
    """Return the rows to train on, and how many of them hold every conversation once."""
    num_rows = conversations.epoch(0).num_rows
    if config.text_every is None:
        return conversations, num_rows
    # Another seed than pretraining: its first rows are those the model saw first.
    pages = PackedRows(text, row_len=row_len, pad=pad, seed=config.seed + 1, crop=True)
    every = config.text_every
    return MixedRows(conversations, pages, every=every), num_rows * every // (every - 1)

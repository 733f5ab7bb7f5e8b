"""What `mid` and `sft` share: packed, masked conversations on a parent checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from core import checkpoint
from core.config import ChatTrainConfig
from core.data.conversation_rows import render_conversations
from core.data.packing import PackedRows
from core.data.shards import load_manifest
from core.data.tokens import build_token_cache, open_token_cache
from core.device import pick_device, training_dtype
from core.ranks import join
from core.stages.context import CheckpointRef, StageContext
from core.stages.training import Training, train
from core.tokenizer import Tokenizer
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
    rows = PackedRows(
        render_conversations(ctx.input("conversations").path / file_name, tokenizer),
        row_len=model.config.sequence_len,
        pad=tokenizer.bos,
        seed=config.seed,
        crop=False,
    )
    rows_per_step = config.total_batch_size // model.config.sequence_len
    one_pass = max(1, rows.epoch(0).num_rows // rows_per_step)
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

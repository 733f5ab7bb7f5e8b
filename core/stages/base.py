"""The `base` stage: pretraining on the corpus."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

import torch

from core import checkpoint
from core.config import ModelConfig
from core.data.prefetch import PrefetchedRows
from core.data.reading import (
    RowShape,
    Text,
    find_cache,
    find_text,
    prepare_text,
    prepare_validation,
    reading,
    text_packing,
    until_stopped,
)
from core.data.shards import load_manifest
from core.data.token_cache import TokenCache, open_shards, open_validation
from core.device import pick_device, set_up_device, training_dtype
from core.model import GPT
from core.planning.disk import NUM_EXTRA_CHECKPOINTS, num_kept
from core.ranks import join
from core.scaling import checkpoint_bytes, model_config
from core.scaling_laws import horizon_steps
from core.settings.training import BaseConfig
from core.stages.context import CheckpointRef, StageContext
from core.tokenizer import Tokenizer
from core.train.garbage import collecting_rarely
from core.train.job import Training
from core.train.loop import train
from core.train.pair_start import start_from_pairs
from runs.errors import UsageError
from runs.events import End, Event


def run(
    config: BaseConfig,
    ctx: StageContext,
    *,
    stop: Callable[[], bool],
    resume: CheckpointRef | None,
) -> Iterator[Event]:
    """Pretrain a new model, or continue one from a checkpoint of this stage."""
    device = pick_device(ctx.device)
    set_up_device(device)
    tokenizer = Tokenizer.from_file(ctx.input("tokenizer").path)
    shape = model_config(config, tokenizer.vocab_size)
    total_steps = horizon_steps(config, shape)
    cache = find_cache(ctx, tokenizer)
    # Several ranks would hear of it at different moments: they agree on it with their first step.
    is_told = stop if ctx.world_size == 1 else lambda: False
    text = yield from until_stopped(_prepared_text(config, ctx, cache, shape), is_told)
    if text is None:
        yield End(reason="stopped")
        return
    model = _model(config, shape, device, resume)
    plain = RowShape(row_len=config.sequence_len, seed=config.seed)
    num_rows = total_steps * config.total_batch_size // config.sequence_len
    packing = text_packing(text, config.packing, plain, num_rows=num_rows)
    with (
        reading(text, ctx, replace(plain, packing=packing)) as plain_rows,
        PrefetchedRows(plain_rows) as rows,
        join(ctx.rank, ctx.world_size, device) as ranks,
    ):
        job = Training(
            ctx=ctx,
            config=config,
            ranks=ranks,
            model=model,
            tokenizer=tokenizer,
            rows=rows,
            validation=open_validation(cache),
            val_sha256=load_manifest(cache.corpus_dir).val_sha256,
            total_steps=total_steps,
            lr_scale=1.0,
            sample_chat=False,
        )
        if resume is None and config.pair_start_steps:
            split = open_shards(cache, text.parts[0])
            fit = start_from_pairs(model, split, ranks, num_steps=config.pair_start_steps)
            fit_s = yield from until_stopped(fit, is_told)
            if fit_s is None:
                yield End(reason="stopped")
                return
            job = replace(job, head_start_s=fit_s)
        yield from collecting_rarely(train(job, stop=stop, resume=resume))


def _prepared_text(
    config: BaseConfig, ctx: StageContext, cache: TokenCache, shape: ModelConfig
) -> Generator[Event, None, Text]:
    """Return the text to train on, with what must be there before the first step."""
    yield from prepare_validation(cache)
    reserved = (num_kept(config, shape) + NUM_EXTRA_CHECKPOINTS) * checkpoint_bytes(shape)
    text = find_text(ctx, cache, config.token_cache, reserved_bytes=reserved)
    if config.pair_start_steps and not text.is_whole:
        raise UsageError(
            "pair_start_steps counts all pairs before the first step, and this text comes in "
            f"{len(text.parts)} parts while training goes on; set base.pair_start_steps=0"
        )
    yield from prepare_text(text, ctx)
    return text


def _model(
    config: BaseConfig, shape: ModelConfig, device: torch.device, resume: CheckpointRef | None
) -> GPT:
    torch.manual_seed(config.seed)
    dtype = training_dtype(config.dtype, device)
    if resume is not None:
        return checkpoint.load_model(resume.path, device=device, dtype=dtype)
    model = GPT(shape, dtype=dtype)
    # Drawn on the CPU, so that every device starts from the same weights.
    model.init_weights(torch.Generator().manual_seed(config.seed))
    model.to(device)
    return model

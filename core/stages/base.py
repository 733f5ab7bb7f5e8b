"""The `base` stage: pretraining on the corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from core import checkpoint
from core.config import BaseConfig
from core.data.arrivals import Arrivals, LaterTokens, bringing, later_tokens
from core.data.growing import GrowingRows
from core.data.packing import PackedRows, Rows
from core.data.shards import load_manifest
from core.data.tokens import TokenSplit, build_token_cache, open_token_cache
from core.device import pick_device, set_up_matmuls, training_dtype
from core.model import GPT
from core.ranks import join
from core.scaling import model_config
from core.scaling_laws import horizon_steps
from core.stages.context import CheckpointRef, StageContext
from core.tokenizer import Tokenizer
from core.train.loop import Training, train
from runs.events import Event


def run(
    config: BaseConfig,
    ctx: StageContext,
    *,
    stop: Callable[[], bool],
    resume: CheckpointRef | None,
) -> Iterator[Event]:
    """Pretrain a new model, or continue one from a checkpoint of this stage."""
    device = pick_device(ctx.device)
    set_up_matmuls(device)
    tokenizer = Tokenizer.from_file(ctx.input("tokenizer").path)
    corpus = ctx.input("corpus").path
    yield from build_token_cache(corpus, tokenizer)
    split = open_token_cache(corpus, tokenizer, "train")
    shape = model_config(config, tokenizer.vocab_size)
    torch.manual_seed(config.seed)
    dtype = training_dtype(config.dtype, device)
    if resume is None:
        model = GPT(shape, dtype=dtype)
        # Drawn on the CPU, so that every device starts from the same weights.
        model.init_weights(torch.Generator().manual_seed(config.seed))
        model.to(device)
    else:
        model = checkpoint.load_model(resume.path, device=device, dtype=dtype)
    later = later_tokens(corpus, tokenizer)
    tokenizer_path = ctx.input("tokenizer").path
    with (
        bringing(later, tokenizer_path, ctx.data_dir, is_first_rank=ctx.rank == 0) as arrivals,
        join(ctx.rank, ctx.world_size, device) as ranks,
    ):
        job = Training(
            ctx=ctx,
            config=config,
            ranks=ranks,
            model=model,
            tokenizer=tokenizer,
            rows=_rows(config, split, later, arrivals),
            validation=open_token_cache(corpus, tokenizer, "val"),
            val_sha256=load_manifest(corpus).val_sha256,
            total_steps=horizon_steps(config, shape),
            lr_scale=1.0,
            sample_chat=False,
        )
        yield from train(job, stop=stop, resume=resume)


def _rows(
    config: BaseConfig, split: TokenSplit, later: LaterTokens, arrivals: Arrivals | None
) -> Rows:
    pad = later.tokenizer.bos
    if not later.shards:
        return PackedRows(split, row_len=config.sequence_len, pad=pad, seed=config.seed, crop=True)
    return GrowingRows(
        split,
        later,
        row_len=config.sequence_len,
        pad=pad,
        seed=config.seed,
        check=lambda: None if arrivals is None else arrivals.check(),
    )

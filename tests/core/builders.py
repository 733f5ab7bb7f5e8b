"""Small real things for the training tests: a corpus, a tokenizer, conversations, a context."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.config import ModelConfig, build_stage_config
from core.data.shard_writer import write_shards
from core.data.shards import SourceCount
from core.settings.training import BaseConfig
from core.stages.context import Input, StageContext
from core.tokenizer import Tokenizer

WORDS = "the model reads a text and then writes what it has seen in other words of its own".split()
NUM_MERGES = 32


def tiny_config(**features: Any) -> ModelConfig:
    """Return a two-layer model with every feature on."""
    values: dict[str, Any] = {
        "vocab_size": 300, "sequence_len": 32, "num_layers": 2, "num_heads": 2,
        "num_kv_heads": 2, "n_embd": 32,
    }  # fmt: skip
    return ModelConfig(**{**values, **features})


def base_config(**overrides: Any) -> BaseConfig:
    """Return settings of a two-layer float32 run of a few steps, eager."""
    values: dict[str, Any] = {
        "depth": 2, "aspect_ratio": 16, "head_dim": 16, "sequence_len": 32,
        "device_batch_size": 2, "total_batch_size": 128, "num_iterations": 12, "dtype": "float32",
        "compile": "off", "eval_every": 6, "eval_tokens": 256, "save_every": 4,
        "sample_every": 12, "embedding_lr": 20.0, "unembedding_lr": 0.5, "matrix_lr": 1.0,
    }  # fmt: skip
    config = build_stage_config("base", {**values, **overrides})
    assert isinstance(config, BaseConfig)
    return config


def texts(seed: int, count: int) -> list[str]:
    """Return seeded nonsense sentences of different lengths."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(3, 40))) for _ in range(count)]


def make_world(root: Path) -> dict[str, Input]:
    """Write a corpus, a tokenizer and conversations under `root`; return them as inputs."""
    corpus = root / "data" / "corpus"
    counts = {"words": SourceCount(num_docs=220, num_chars=1)}
    corpus.mkdir(parents=True)
    write_shards(
        corpus, train=texts(1, 200), val=texts(2, 20), sources={"words": "1"}, counts=counts
    )
    tokenizer_path = root / "tokenizer.json"
    sha256 = Tokenizer(
        [(97 + i % 26, 97 + (i * 7 + i // 26) % 26) for i in range(NUM_MERGES)]
    ).save(tokenizer_path)
    conversations = root / "data" / "conversations"
    conversations.mkdir()
    lines = [
        {"messages": [{"role": "user", "content": word}, {"role": "assistant", "content": "ok"}]}
        for word in random.Random(3).choices(WORDS, k=60)
    ]
    for name in ("mid.jsonl", "sft.jsonl"):
        (conversations / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {
        "corpus": Input(path=corpus, sha256="c"),
        "tokenizer": Input(path=tokenizer_path, sha256=sha256),
        "conversations": Input(path=conversations, sha256="d"),
    }


def context(
    root: Path,
    inputs: Mapping[str, Input],
    *,
    stage: str = "base",
    rank: int = 0,
    world_size: int = 1,
) -> StageContext:
    """Return the context of a stage whose run directory is `root`."""
    return StageContext(
        stage=stage,
        run_dir=root,
        artifacts_dir=root / "artifacts" / stage,
        checkpoints_dir=root / "checkpoints" / stage,
        data_dir=root / "data",
        inputs=inputs,
        rank=rank,
        world_size=world_size,
    )

"""The rows that a stage reads are the same bytes in every way of having their tokens at hand."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.config import TokenCacheChoice
from core.data import growing
from core.data.growing import GrowingRows, text_parts
from core.data.packing import PackedRows, Packing, Rows
from core.data.prefetch import PrefetchedRows
from core.data.reading import (
    RowShape,
    choose_packing,
    find_cache,
    find_text,
    missing_bytes,
    prepare_text,
    prepare_validation,
    reading,
)
from core.data.shard_writer import write_shards
from core.data.shards import SourceCount, load_manifest
from core.data.token_cache import TokenCache, build_tokens, open_shards
from core.stages import base
from core.stages.context import Input, StageContext
from core.tokenizer import Tokenizer
from runs.events import Note, Step
from tests.core.builders import base_config, context, texts
from tests.data.builders import never

SHAPE = RowShape(row_len=32, seed=5)
NUM_ROWS = 16_000
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Lab:
    """A corpus of four training shards that are read as parts of their own."""

    root: Path

    def context(self, name: str = "run", rank: int = 0, world_size: int = 1) -> StageContext:
        inputs = {
            "corpus": Input(path=self.root / "corpus", sha256="c"),
            "tokenizer": Input(path=self.root / "tokenizer.json", sha256="t"),
        }
        return context(self.root / name, inputs, rank=rank, world_size=world_size)

    def cache(self, ctx: StageContext) -> TokenCache:
        return find_cache(ctx, Tokenizer.from_file(ctx.input("tokenizer").path))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    counts = {"words": SourceCount(num_docs=6200, num_chars=1)}
    write_shards(
        corpus, train=texts(1, 6144), val=texts(2, 40), sources={"words": "1"}, counts=counts,
        shard_chars=150_000,
    )  # fmt: skip
    Tokenizer([(97 + i % 26, 97 + i * 7 % 26) for i in range(20)]).save(tmp_path / "tokenizer.json")
    monkeypatch.setattr(growing, "WHOLE_CHARS", 100_000)
    monkeypatch.setattr(growing, "PART_CHARS", 1000)
    return Lab(tmp_path)


@contextmanager
def rows_of(
    lab: Lab, choice: TokenCacheChoice, ctx: StageContext, packing: Packing = "best-fit"
) -> Iterator[Rows]:
    cache = lab.cache(ctx)
    list(prepare_validation(cache))
    text = find_text(ctx, cache, choice)
    list(prepare_text(text, ctx))
    with reading(text, ctx, replace(SHAPE, packing=packing)) as rows:
        yield rows


def read(rows: Rows, first: int, until: int, *, step: int = 64) -> np.ndarray:
    """Return rows, waited for as training does."""
    found = []
    for start in range(first, until, step):
        count = min(step, until - start)
        wait(rows, start, start + count)
        found.append(rows.batch(start, count)[0])
    return np.concatenate(found)


def wait(rows: Rows, first: int, until: int) -> None:
    import time

    deadline = time.monotonic() + DEADLINE_S
    while not rows.reaches(first, until):
        assert time.monotonic() < deadline, f"{rows.waits_for} did not come"
        time.sleep(0.01)

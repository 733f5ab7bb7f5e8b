"""The rows that a stage reads are the same bytes in every way of having their tokens at hand."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.data import growing, parts
from core.data.growing import GrowingRows
from core.data.packing import PackedRows, Rows
from core.data.parts import text_parts
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
from core.data.row_plans import Packing
from core.data.shard_writer import write_shards
from core.data.shards import SourceCount, load_manifest
from core.data.token_cache import TokenCache, build_tokens, open_shards
from core.settings.training import TokenCacheChoice
from core.stages import base
from core.stages.context import Input, StageContext
from core.tokenizer import Tokenizer
from runs.events import Note, Step
from tests.core.builders import base_config, context, texts
from tests.data.builders import never

SHAPE = RowShape(row_len=32, seed=5)
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Lab:
    """A corpus of three training shards that are read as parts of their own."""

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
    counts = {"words": SourceCount(num_docs=3112, num_chars=1)}
    write_shards(
        corpus, train=texts(1, 3072), val=texts(2, 40), sources={"words": "1"}, counts=counts,
        shard_chars=50_000,
    )  # fmt: skip
    Tokenizer([(97 + i % 26, 97 + i * 7 % 26) for i in range(20)]).save(tmp_path / "tokenizer.json")
    monkeypatch.setattr(parts, "WHOLE_CHARS", 100_000)
    monkeypatch.setattr(parts, "PART_CHARS", 1000)
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
    deadline = time.monotonic() + DEADLINE_S
    while not rows.reaches(first, until):
        assert time.monotonic() < deadline, f"{rows.waits_for} did not come"
        time.sleep(0.01)


@pytest.mark.parametrize(("packing", "num_rows"), [("best-fit", 3100), ("flat", 11_000)])
def test_rows_are_the_same_bytes_with_a_cache_and_with_a_window(
    lab: Lab, packing: Packing, num_rows: int
) -> None:
    with rows_of(lab, "disk", lab.context("kept"), packing) as rows:
        kept = read(rows, 0, num_rows)
        assert rows.epoch_of(num_rows - 1) == 1
    shutil.rmtree(lab.cache(lab.context()).directory)
    with rows_of(lab, "none", lab.context("windowed"), packing) as rows:
        assert np.array_equal(read(rows, 0, num_rows), kept)


def test_window_holds_two_parts_and_is_gone_at_the_end(lab: Lab) -> None:
    cache = lab.cache(lab.context())
    assert cache.window is not None
    most = 0
    with rows_of(lab, "none", lab.context()) as rows:
        for first in range(0, 3000, 100):
            wait(rows, first, first + 100)
            most = max(most, len(list(cache.window.glob("*.tokens"))))
    # The part that was left may not be gone yet when the next one arrives.
    assert 1 <= most <= 3
    assert not cache.window.exists()
    names = [shard.name for shard in load_manifest(cache.corpus_dir).shards]
    assert [name for name in names if cache.find(name)] == [names[-1]]
    assert [name for name in names if cache.lengths(name) is not None] == names


def test_run_with_a_window_goes_on_at_any_row(lab: Lab) -> None:
    with rows_of(lab, "none", lab.context("first")) as rows:
        whole = read(rows, 0, 2600)
    for lost in lab.cache(lab.context()).directory.glob("*.lengths.npy"):
        lost.unlink()
    with rows_of(lab, "none", lab.context("second")) as rows:
        assert np.array_equal(read(rows, 2500, 2600), whole[2500:])


def test_resume_far_into_the_text_can_stop_while_rows_are_counted(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rows_of(lab, "disk", lab.context()) as rows:
        wait(rows, 2500, 2600)
        whole = rows.batch(2500, 100)[0]
    monkeypatch.setattr(growing, "NUM_COUNTED", 1)
    with rows_of(lab, "disk", lab.context()) as rows:
        assert not rows.reaches(2500, 2600) and rows.waits_for is not None
        assert not rows.reaches(2500, 2600) and rows.reaches(2500, 2600)
        assert np.array_equal(rows.batch(2500, 100)[0], whole)


def test_each_part_is_packed_as_if_it_were_alone(lab: Lab) -> None:
    cache = lab.cache(lab.context())
    parts = text_parts(load_manifest(cache.corpus_dir))
    assert [len(part) for part in parts] == [1, 1, 1]
    with rows_of(lab, "disk", lab.context()) as rows:
        found = read(rows, 0, 2800)
    first = 0
    for part in parts:
        alone = PackedRows(open_shards(cache, part), row_len=32, pad=0, seed=SHAPE.seed, crop=True)
        count = min(alone.epoch(0).num_rows, 2800 - first)
        assert np.array_equal(alone.batch(0, count)[0], found[first : first + count])
        first += count
    assert first == 2800


def test_small_text_is_one_part_and_large_text_has_parts_of_some_shards(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = load_manifest(lab.root / "corpus")
    monkeypatch.setattr(parts, "PART_CHARS", 150_000)
    assert [len(part) for part in text_parts(manifest)] == [2, 1]
    monkeypatch.setattr(parts, "WHOLE_CHARS", 10_000_000)
    assert [len(part) for part in text_parts(manifest)] == [3]


def test_ranks_without_the_errand_read_what_the_first_rank_brought(lab: Lab) -> None:
    first, second = lab.context(rank=0, world_size=2), lab.context(rank=1, world_size=2)
    with rows_of(lab, "none", first) as mine, rows_of(lab, "none", second) as theirs:
        rows = []
        for start in range(0, 2400, 64):
            wait(mine, start, start + 64)
            wait(theirs, start, start + 64)
            pair = mine.batch(start, 32, stride=2)[0], theirs.batch(start + 1, 32, stride=2)[0]
            rows.append(np.stack(pair, axis=1).reshape(64, 32))
    with rows_of(lab, "none", lab.context("alone")) as alone:
        assert np.array_equal(np.concatenate(rows), read(alone, 0, 2432))


@pytest.mark.parametrize("stride", [1, 2])
def test_rows_that_are_read_ahead_are_the_same_rows(lab: Lab, stride: int) -> None:
    cache = lab.cache(lab.context())
    part = text_parts(load_manifest(cache.corpus_dir))[0]
    list(build_tokens(cache, part))
    plain = PackedRows(open_shards(cache, part), row_len=32, pad=0, seed=1, crop=True)
    asked = [(0, 4), (4 * stride, 4), (8 * stride, 4), (100, 2), (3, 7), (3 + 7 * stride, 7)]
    # Past the end of the first pass, too.
    asked += [(plain.epoch(0).num_rows - 6, 4), (plain.epoch(0).num_rows - 6 + 4 * stride, 4)]
    with PrefetchedRows(plain) as rows:
        for first, count in asked:
            for got, wanted in zip(
                rows.batch(first, count, stride=stride),
                plain.batch(first, count, stride=stride),
                strict=True,
            ):
                assert np.array_equal(got, wanted)


def test_rows_are_not_read_ahead_of_what_has_arrived(lab: Lab) -> None:
    cache = lab.cache(lab.context())
    parts = text_parts(load_manifest(cache.corpus_dir))
    list(build_tokens(cache, parts[0]))
    growing_rows = GrowingRows(cache, parts, row_len=32, pad=0, seed=1, bringing=None)
    with PrefetchedRows(growing_rows) as rows:
        assert rows.reaches(0, 8) and rows.holds(0, 8)
        last = max(row for row in range(8, 4000) if rows.holds(row - 8, row))
        assert rows.reaches(last - 8, last) and not rows.reaches(last - 8, last + 1)
        assert rows.waits_for == parts[1][0]
        assert rows.batch(last - 8, 8)[0].shape == (8, 32)


def test_auto_keeps_tokens_where_they_fit_beside_the_rest(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = lab.context()
    cache = lab.cache(ctx)
    list(prepare_validation(cache))
    needed = missing_bytes(cache, text_parts(load_manifest(cache.corpus_dir)))
    tokens = sum(len(cache.tokenizer.encode(text)) + 1 for text in texts(1, 3072))
    assert needed == pytest.approx(2 * tokens, rel=0.1)
    kept = {}
    for free in (needed - 1, needed + 1000, needed + 1001):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        kept[free] = find_text(ctx, cache, "auto", reserved_bytes=1001).is_kept
    assert list(kept.values()) == [False, False, True]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert find_text(ctx, cache, "disk").is_kept
    assert not find_text(ctx, cache, "none").is_kept


def test_training_without_a_token_cache_gives_the_same_losses_and_says_how(lab: Lab) -> None:
    losses, notes = {}, {}
    choices: tuple[TokenCacheChoice, ...] = ("disk", "none")
    for choice in choices:
        config = base_config(
            num_iterations=3, token_cache=choice, eval_every=3, sample_every=3, save_every=3
        )
        events = list(base.run(config, lab.context(choice), stop=never, resume=None))
        losses[choice] = [event.metrics["loss"] for event in events if isinstance(event, Step)]
        notes[choice] = next(event.message for event in events if isinstance(event, Note))
        shutil.rmtree(lab.cache(lab.context()).directory)
    assert losses["disk"] == losses["none"] and len(losses["none"]) == 3
    assert "kept on disk" in notes["disk"] and "not kept" in notes["none"]


def test_rows_without_waste_are_for_text_that_would_be_read_many_times() -> None:
    long = np.full(400, 45)
    shape = {"row_len": 32, "seed": 0}
    # 400 rows a pass, of 545 that the tokens would fill.
    assert choose_packing("auto", long, num_rows=1610, **shape) == "flat"
    assert choose_packing("auto", long, num_rows=1590, **shape) == "best-fit"
    assert choose_packing("auto", np.full(400, 11), num_rows=1610, **shape) == "best-fit"
    assert choose_packing("best-fit", long, num_rows=1610, **shape) == "best-fit"
    assert choose_packing("flat", long, num_rows=1, **shape) == "flat"

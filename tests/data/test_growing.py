"""Shards that arrive while a model trains: waited for, in the same order, or one clear error."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from core.data.arrivals import Arrivals, Bringer, Errand
from core.data.corpus import Corpus
from core.data.growing import GrowingRows
from core.data.parts import text_parts
from core.data.remote.corpus import Wanted, fetch_shards, publish_corpus
from core.data.remote.known import REMOTE_CORPORA, Access
from core.data.shards import load_manifest, read_texts, write_manifest
from core.data.token_cache import TokenCache, build_tokens
from core.stages import base
from core.stages.context import Input
from core.tokenizer import Tokenizer
from runs.errors import StageFailed, UsageError
from runs.events import End, Event, Progress, Step
from tests.core.builders import base_config, context
from tests.core.test_training import run_process
from tests.data.builders import drain, never
from tests.data.hub_server import QUICK, Hub, serving, shard_bytes

CLIMBMIX = REMOTE_CORPORA["climbmix"]
WANTED = Wanted(corpus=CLIMBMIX, num_train=3, num_ahead=1)
SETTINGS: dict[str, int] = {
    "num_iterations": 3, "sample_every": 99, "save_every": 99, "eval_every": 99, "eval_tokens": 64,
}  # fmt: skip
LATER = ["shard_00001.parquet", "shard_00002.parquet"]


@dataclass(frozen=True)
class World:
    """A server, and a corpus of which the first shard is here."""

    hub: Hub
    data_dir: Path
    corpus: Corpus
    tokenizer_path: Path

    @property
    def cache(self) -> TokenCache:
        return TokenCache(
            corpus_dir=self.corpus.path, tokenizer=Tokenizer.from_file(self.tokenizer_path)
        )

    @property
    def errand(self) -> Errand:
        return Errand(
            corpus_dir=self.corpus.path,
            tokenizer_path=self.tokenizer_path,
            data_dir=self.data_dir,
            window=self.data_dir.parent / "window",
            names=("shard_00000.parquet", *LATER),
            is_kept=True,
        )

    def bring_all(self) -> None:
        Bringer(self.errand, policy=QUICK).run()

    def rows(self) -> GrowingRows:
        parts = text_parts(load_manifest(self.corpus.path))
        list(build_tokens(self.cache, parts[0]))
        pad = self.cache.tokenizer.bos
        return GrowingRows(self.cache, parts, row_len=32, pad=pad, seed=1, bringing=None)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    hub = Hub(CLIMBMIX)
    # A document is longer than a row, which cuts it: as many rows as documents.
    hub.files = {
        name: shard_bytes(number, num_docs=6) for number, name in enumerate(sorted(hub.files))
    }
    hub.published = dict(hub.files)
    path = tmp_path / "tokenizer.json"
    Tokenizer([]).save(path)
    with serving(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        server = Access(endpoint=hub.endpoint)
        data_dir = tmp_path / "data"
        index = drain(fetch_shards(data_dir, WANTED, server, stop=never, policy=QUICK))
        assert index is not None
        corpus = publish_corpus(data_dir, WANTED, index)
        yield World(hub, data_dir, corpus, path)


def train(world: World, **overrides: int) -> Iterator[Event]:
    inputs = {
        "corpus": Input(path=world.corpus.path, sha256="c"),
        "tokenizer": Input(path=world.tokenizer_path, sha256="t"),
    }
    root = world.data_dir.parent
    config = base_config(**{**SETTINGS, **overrides})
    return base.run(config, context(root, inputs), stop=never, resume=None)


def test_a_start_from_pairs_is_refused_where_the_text_is_not_whole(world: World) -> None:
    with pytest.raises(UsageError, match=r"base\.pair_start_steps=0"):
        list(train(world, pair_start_steps=3))


def test_corpus_appears_when_its_first_shards_are_here(world: World) -> None:
    manifest = load_manifest(world.corpus.path, verify=True)
    assert [shard.name for shard in manifest.later] == LATER
    assert [shard.split for shard in manifest.shards] == ["train", "val"]
    assert len(list(read_texts(world.corpus.path, "train"))) == 6
    assert not set(LATER) & set(world.hub.fetched())


def test_rows_are_the_same_whenever_their_shards_arrive(world: World) -> None:
    waiting = world.rows()
    assert waiting.reaches(0, 6) and not waiting.reaches(0, 7)
    assert waiting.waits_for == LATER[0]
    early = waiting.batch(0, 6)
    world.bring_all()
    assert waiting.reaches(0, 40) and not waiting.waits_for
    complete = world.rows()
    assert complete.reaches(0, 40)
    assert np.array_equal(early[0], complete.batch(0, 6)[0])
    assert np.array_equal(waiting.batch(0, 40)[0], complete.batch(0, 40)[0])
    assert waiting.epoch_of(39) == 2


def test_one_pass_reads_every_shard_and_the_next_begins_with_the_first(world: World) -> None:
    world.bring_all()
    rows = world.rows()
    assert rows.reaches(0, 40)
    first_of_next = next(index for index in range(40) if rows.epoch_of(index) == 1)
    per_shard = [rows.row(index)[0].tolist() for index in range(first_of_next)]
    assert len({tuple(row) for row in per_shard}) == first_of_next
    assert first_of_next == 18
    assert [rows.documents(index)[0].shard for index in (0, 6, 12)] == [
        "shard_00000.parquet",
        *LATER,
    ]


def test_shards_that_are_ready_are_not_fetched_again(world: World) -> None:
    world.bring_all()
    world.hub.requests.clear()
    world.bring_all()
    assert world.hub.requests == []


def test_training_waits_for_a_shard_and_says_so(world: World) -> None:
    # The process that brings shards takes longer to start than one step takes.
    world.hub.faults.delay_s_per_chunk = 0.1
    events = list(train(world))
    waited = [event.label for event in events if isinstance(event, Progress)]
    assert any(LATER[0] in str(label) for label in waited)
    assert len([event for event in events if isinstance(event, Step)]) == 3
    assert not any(isinstance(event, End) for event in events)


def test_shard_that_will_not_come_ends_training_with_its_name(world: World) -> None:
    world.hub.faults.status[LATER[0]] = [404] * 9
    with pytest.raises(StageFailed, match=rf"{LATER[0]}.*404"):
        list(train(world))


def test_shard_that_cannot_be_put_in_its_place_ends_the_wait_with_a_reason(world: World) -> None:
    # Of the right size and yet no file: it can be neither linked nor copied.
    place = world.data_dir / "downloads" / "climbmix" / LATER[0]
    place.mkdir()
    manifest = load_manifest(world.corpus.path)
    sizes = (place.stat().st_size, manifest.later[1].bytes)
    later = tuple(
        replace(shard, bytes=size) for shard, size in zip(manifest.later, sizes, strict=True)
    )
    write_manifest(world.corpus.path, replace(manifest, later=later))
    arrivals = Arrivals(world.errand)
    try:
        arrivals.want(LATER, num_urgent=1)
        with pytest.raises(StageFailed, match=LATER[0]):
            until_told(arrivals)
    finally:
        arrivals.close()


def until_told(arrivals: Arrivals, *, limit_s: float = 60.0) -> None:
    """Ask for news until there is bad news."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        arrivals.check()
        time.sleep(0.05)
    raise AssertionError("nothing was told")


def test_process_that_was_killed_is_told(world: World) -> None:
    arrivals = Arrivals(world.errand)
    try:
        arrivals._process.kill()
        arrivals._process.join()
        with pytest.raises(StageFailed, match="ended with code -9"):
            arrivals.check()
    finally:
        arrivals.close()


def test_two_ranks_without_a_token_cache_train_like_one_with_it(world: World) -> None:
    root = world.data_dir.parent
    one = {event.step: event.metrics["loss"] for event in train(world) if isinstance(event, Step)}
    shutil.rmtree(world.cache.directory)
    (world.data_dir / "corpus").symlink_to(world.corpus.path)
    (root / "two").mkdir()
    (root / "two" / "data").symlink_to(world.data_dir)
    two = run_process(root, name="two", ranks=2, token_cache="none", **SETTINGS)
    assert list(two) == [1, 2, 3]
    assert two == pytest.approx(one, rel=1e-5)
    assert not list(world.cache.directory.glob("shard_0000*.tokens"))

"""Tokens on disk: a shard at a time, built once, repaired, and the same documents as ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from core.data.packing import PackedRows
from core.data.shard_writer import write_shards
from core.data.shards import SourceCount, load_manifest, read_texts
from core.data.token_cache import (
    TokenCache,
    build_tokens,
    build_validation,
    open_shards,
    open_validation,
    shard_names,
)
from core.data.tokens import TokenSplit
from core.tokenizer import Tokenizer
from runs.errors import Corrupt, StageFailed
from tests.core.builders import texts

MERGES = [(97 + i % 26, 97 + (i * 7 + i // 26) % 26) for i in range(32)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus of several small shards."""
    directory = tmp_path / "corpus"
    directory.mkdir()
    write_shards(
        directory,
        train=texts(1, 9000),
        val=texts(2, 40),
        sources={"words": "1"},
        counts={"words": SourceCount(num_docs=9040, num_chars=1)},
        shard_chars=100_000,
    )
    return directory


@pytest.fixture
def cache(corpus: Path) -> TokenCache:
    return TokenCache(corpus_dir=corpus, tokenizer=Tokenizer(MERGES))


def train_names(cache: TokenCache) -> tuple[str, ...]:
    return shard_names(load_manifest(cache.corpus_dir), "train")


def built(cache: TokenCache) -> TokenSplit:
    list(build_tokens(cache, train_names(cache)))
    return open_shards(cache, train_names(cache))


def test_documents_have_the_numbers_that_they_have_in_the_text(cache: TokenCache) -> None:
    split = built(cache)
    assert len(split.arrays) > 3
    found = [split.document(i, int(n))[0].tolist() for i, n in enumerate(split.lengths)]
    tokenizer = cache.tokenizer
    texts_ = read_texts(cache.corpus_dir, "train")
    assert found == [[tokenizer.bos, *tokenizer.encode(text)] for text in texts_]


def test_rows_over_many_shards_are_those_over_one_array(cache: TokenCache) -> None:
    split = built(cache)
    whole = TokenSplit(
        arrays=(np.concatenate(split.arrays, dtype=np.uint16),), offsets=split.offsets
    )
    many = PackedRows(split, row_len=64, pad=0, seed=3, crop=True)
    one = PackedRows(whole, row_len=64, pad=0, seed=3, crop=True)
    assert np.array_equal(many.batch(0, 400)[0], one.batch(0, 400)[0])


def test_row_order_of_existing_runs_stays(cache: TokenCache) -> None:
    rows = PackedRows(built(cache), row_len=64, pad=0, seed=3, crop=True)
    sums = [int((rows.row(i)[0] * np.arange(1, 65)).sum()) for i in (0, 1, 500, 4000)]
    assert sums == [191319, 188562, 186669, 190355]


def test_documents_of_a_row_are_found_in_their_shards(cache: TokenCache) -> None:
    split = built(cache)
    rows = PackedRows(split, row_len=64, pad=0, seed=3, crop=True)
    ids: list[int] = []
    for piece in rows.documents(17):
        assert piece.shard is not None
        alone = open_shards(cache, [piece.shard])
        ids += alone.document(piece.document, piece.length, piece.start)[0].tolist()
    assert ids[:-1] == rows.row(17)[0].tolist()


def test_one_damaged_shard_is_built_again_and_no_other(cache: TokenCache) -> None:
    before = [array.tolist() for array in built(cache).arrays]
    names = train_names(cache)
    times = {path.name: path.stat().st_mtime_ns for path in cache.directory.glob("*.tokens")}
    damaged = cache.directory / f"{names[2]}.tokens"
    with open(damaged, "r+b") as stream:
        stream.truncate(100)
    with pytest.raises(Corrupt, match="run again to repair it"):
        open_shards(cache, names)
    again = built(cache)
    assert [array.tolist() for array in again.arrays] == before
    changed = {
        path.name
        for path in cache.directory.glob("*.tokens")
        if path.stat().st_mtime_ns != times[path.name]
    }
    assert changed == {damaged.name}


def test_text_that_changed_since_it_came_is_never_tokenised(cache: TokenCache) -> None:
    name = train_names(cache)[1]
    shard = cache.corpus_dir / name
    data = shard.read_bytes()
    # The footer names who wrote the file: no reader would notice.
    assert b"parquet-cpp" in data
    shard.write_bytes(data.replace(b"parquet-cpp", b"parquet-CPP"))
    with pytest.raises(Corrupt, match=f"{name} differs from its hash"):
        built(cache)
    assert cache.find(name) is None


def test_lengths_that_were_cut_off_are_made_again(cache: TokenCache) -> None:
    built(cache)
    path = cache.directory / f"{train_names(cache)[0]}.lengths.npy"
    path.write_bytes(path.read_bytes()[:50])
    assert cache.lengths(train_names(cache)[0]) is None
    assert len(built(cache).lengths) == 9000


def test_wide_ids_take_four_bytes(corpus: Path) -> None:
    words = [b"w%05d" % number for number in range(66_000)]
    tokens = [bytes([value]) for value in range(256)]
    tokenizer = Tokenizer.from_tokens([*tokens, *words], pattern=r"\S+|\s+")
    cache = TokenCache(corpus_dir=corpus, tokenizer=tokenizer)
    list(build_validation(cache))
    split = open_validation(cache)
    assert split.arrays[0].dtype == np.uint32
    assert int(split.document(0, 1)[0][0]) == tokenizer.bos > 1 << 16


def test_full_disk_is_one_line_that_says_what_to_do(
    cache: TokenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StageFailed, match=r"No space left.*token_cache=none"):
        built(cache)
    assert not list(cache.directory.glob(".*.tokens.partial"))


def test_corpus_on_a_disk_that_cannot_be_written_is_read_when_its_tokens_are_there(
    cache: TokenCache,
) -> None:
    num_tokens = built(cache).num_tokens
    (cache.corpus_dir / ".tokens.lock").unlink()
    (cache.corpus_dir / ".tokens.lock").mkdir()
    assert built(cache).num_tokens == num_tokens


@pytest.mark.parametrize("in_the_way", ["lock", "directory"])
def test_place_where_tokens_cannot_be_kept_is_one_line(cache: TokenCache, in_the_way: str) -> None:
    # Even who may write anywhere cannot write here.
    if in_the_way == "lock":
        (cache.corpus_dir / ".tokens.lock").mkdir()
    else:
        cache.directory.write_text("")
    with pytest.raises(StageFailed, match=f"could not be written to {cache.corpus_dir}"):
        built(cache)


BUILD = """
import sys
from pathlib import Path
from core.data.token_cache import TokenCache, build_tokens
from core.tokenizer import Tokenizer
cache = TokenCache(corpus_dir=Path(sys.argv[1]), tokenizer=Tokenizer.from_file(Path(sys.argv[2])))
list(build_tokens(cache, sys.argv[3:]))
"""


def test_kill_in_the_middle_loses_the_shards_at_work_only(
    cache: TokenCache, tmp_path: Path
) -> None:
    cache.tokenizer.save(tmp_path / "tokenizer.json")
    names = train_names(cache)
    arguments = [str(cache.corpus_dir), str(tmp_path / "tokenizer.json"), *names]
    process = subprocess.Popen([sys.executable, "-c", BUILD, *arguments])
    deadline = time.monotonic() + 60
    while not any(cache.find(name) for name in names):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {
        path: path.stat().st_mtime_ns for name in names if (path := cache.find(name)) is not None
    }
    assert kept
    split = built(cache)
    assert len(split.lengths) == 9000
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in kept.items())


def test_processes_that_come_at_once_build_it_once(cache: TokenCache, tmp_path: Path) -> None:
    cache.tokenizer.save(tmp_path / "tokenizer.json")
    arguments = [str(cache.corpus_dir), str(tmp_path / "tokenizer.json"), *train_names(cache)]
    both = [subprocess.Popen([sys.executable, "-c", BUILD, *arguments]) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert cache.find(train_names(cache)[-1]) is not None

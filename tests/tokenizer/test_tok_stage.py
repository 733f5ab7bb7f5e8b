"""The tok stage on a small corpus."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.data.shard_writer import write_shards
from core.settings.text import TokConfig
from core.stages import tok
from core.stages.context import Input, StageContext
from core.tokenizer import Tokenizer
from runs.errors import NotFound
from runs.events import Alert, Artifact, End, Event, Note, Progress
from tests.tokenizer.builders import SENTENCES

CONFIG = TokConfig(vocab_size=320)
ROOT = Path(tok.__file__).parents[2]


@pytest.fixture
def ctx(tmp_path: Path) -> StageContext:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    train = [f"{text} {index}" for index, text in enumerate(SENTENCES * 20)]
    manifest = write_shards(corpus, train=train, val=list(SENTENCES), sources={}, counts={})
    return StageContext(
        stage="tok",
        run_dir=tmp_path / "run",
        artifacts_dir=tmp_path / "run" / "artifacts" / "tok",
        checkpoints_dir=tmp_path / "run" / "checkpoints" / "tok",
        data_dir=tmp_path / "data",
        inputs={"corpus": Input(path=corpus, sha256=manifest.corpus_id)},
    )


def run(ctx: StageContext, config: TokConfig = CONFIG) -> Iterator[Event]:
    return tok.run(config, ctx, stop=lambda: False, resume=None)


def test_the_stage_makes_a_tokenizer_of_the_asked_size(ctx: StageContext) -> None:
    (artifact,) = [event for event in run(ctx) if isinstance(event, Artifact)]
    path = ctx.run_dir / artifact.path
    tokenizer = Tokenizer.from_file(path)
    assert artifact.name == "tokenizer"
    assert artifact.path == "artifacts/tok/tokenizer.json"
    assert (artifact.sha256, artifact.bytes) == (tokenizer.hash, path.stat().st_size)
    assert tokenizer.vocab_size == CONFIG.vocab_size
    assert tokenizer.trained_on["num_docs"] == 80


def test_the_same_corpus_makes_the_same_file(ctx: StageContext, tmp_path: Path) -> None:
    second = replace(ctx, artifacts_dir=tmp_path / "again")
    list(run(ctx))
    list(run(second))
    first_bytes = (ctx.artifacts_dir / "tokenizer.json").read_bytes()
    assert (second.artifacts_dir / "tokenizer.json").read_bytes() == first_bytes


def test_progress_is_told_while_counting_and_while_merging(ctx: StageContext) -> None:
    told = [event for event in run(ctx) if isinstance(event, Progress)]
    assert {event.unit for event in told} == {"chars", "merges"}
    assert (told[-1].done, told[-1].total) == (55, 55)
    assert all(event.done <= event.total for event in told)


def test_the_note_holds_compression_of_both_splits(ctx: StageContext) -> None:
    (note,) = [event for event in run(ctx) if isinstance(event, Note)]
    assert note.data["vocab_size"] == 320
    assert note.data["token_bytes_min"] == 1
    assert 1 < note.data["bytes_per_token_val"] < 6
    assert 1 < note.data["bytes_per_token_train"] < 6


@pytest.mark.parametrize("unit", ["chars", "merges"])
def test_a_stop_ends_the_stage_without_an_artifact(ctx: StageContext, unit: str) -> None:
    seen: list[Event] = []
    stage = tok.run(
        CONFIG,
        ctx,
        stop=lambda: isinstance(seen[-1], Progress) and seen[-1].unit == unit,
        resume=None,
    )
    for event in stage:
        seen.append(event)
    assert seen[-1] == End(reason="stopped")
    assert not (ctx.artifacts_dir / "tokenizer.json").exists()


def test_a_corpus_without_enough_pairs_makes_a_smaller_vocabulary_and_says_so(
    ctx: StageContext,
) -> None:
    events = list(run(ctx, TokConfig(vocab_size=4096)))
    (alert,) = [event for event in events if isinstance(event, Alert)]
    tokenizer = Tokenizer.from_file(ctx.artifacts_dir / "tokenizer.json")
    assert alert.code == "small-vocabulary"
    assert str(tokenizer.vocab_size) in alert.message
    assert tokenizer.vocab_size < 4096


def test_only_the_first_rank_trains(ctx: StageContext) -> None:
    assert list(run(replace(ctx, rank=1, world_size=2))) == []


def test_a_missing_corpus_is_not_found(ctx: StageContext) -> None:
    with pytest.raises(NotFound, match="needs 'corpus'"):
        list(run(replace(ctx, inputs={})))


def test_the_stage_never_loads_torch() -> None:
    code = "import sys, core.stages.tok, core.chat_format; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

"""The data stage: its artifacts, its cache, and two of them at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from core.data import provide
from core.data.corpus import Corpus
from core.data.publish import DataLock, building_directory
from core.data.remote.known import REMOTE_CORPORA
from core.data.shards import MANIFEST, file_sha256
from core.data.sources import Source
from core.stages import data
from core.stages.context import StageContext
from runs.errors import NotFound
from runs.events import Artifact, End, Event, Note, Progress
from tests.data.builders import SMALL, drain, never
from tests.data.hub_server import Hub, serving

MakeContext = Callable[[], StageContext]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "num_readers", lambda: 1)


def run(ctx: StageContext, source: Source, stop: Callable[[], bool] = never) -> list[Event]:
    return list(data.prepare(SMALL, ctx, (source,), stop=stop))


def artifacts(events: list[Event]) -> dict[str, Artifact]:
    return {event.name: event for event in events if isinstance(event, Artifact)}


def test_stage_yields_both_artifacts_with_the_hash_of_their_manifest(
    context: MakeContext, source: Source
) -> None:
    found = artifacts(run(context(), source))
    assert list(found) == ["corpus", "conversations"]
    for artifact in found.values():
        assert file_sha256(Path(artifact.path) / MANIFEST) == artifact.sha256
        assert artifact.bytes > 0


def test_second_run_reuses_what_is_there(context: MakeContext, source: Source) -> None:
    first, second = run(context(), source), run(context(), source)
    assert artifacts(second) == artifacts(first)
    assert not any(isinstance(event, Progress) for event in second)
    notes = [event.message for event in second if isinstance(event, Note)]
    assert notes[0].startswith("reused corpus")


def test_stop_ends_the_stage_and_frees_the_lock(context: MakeContext, source: Source) -> None:
    ctx = context()
    events = run(ctx, source, stop=lambda: True)
    assert events[-1] == End(reason="stopped")
    assert artifacts(events) == {}
    with DataLock(ctx.data_dir) as lock:
        assert lock.try_acquire()


def test_stage_waits_for_another_and_can_be_stopped_meanwhile(
    context: MakeContext, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provide, "POLL_S", 0.001)
    ctx = context()
    with DataLock(ctx.data_dir) as lock:
        assert lock.try_acquire()
        events = data.prepare(SMALL, ctx, (source,), stop=never)
        assert isinstance(next(events), Progress)
        assert run(ctx, source, stop=lambda: True) == [End(reason="stopped")]
    assert "conversations" in artifacts(list(events))


def test_two_stages_at_once_agree(
    context: MakeContext, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provide, "POLL_S", 0.001)
    ctx = context()
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: artifacts(run(ctx, source)), range(2))
    assert one == other
    assert len(one) == 2


def test_what_a_killed_builder_left_is_cleared(context: MakeContext, source: Source) -> None:
    ctx = context()
    leftover = ctx.data_dir / ".building-dead"
    leftover.mkdir(parents=True)
    run(ctx, source)
    assert not list(ctx.data_dir.glob(".building-*"))


def test_failed_build_leaves_no_directory(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), building_directory(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_other_ranks_leave_the_work_to_the_first(context: MakeContext) -> None:
    ctx = StageContext(
        stage="data", run_dir=Path(), artifacts_dir=Path(), checkpoints_dir=Path(),
        data_dir=Path("/nonexistent"), inputs={}, rank=1, world_size=2,
    )  # fmt: skip
    assert list(data.run(SMALL, ctx, stop=never, resume=None)) == []


def test_data_stage_loads_without_torch() -> None:
    code = "import sys, core.stages.data, core.tasks.registry; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_directory_of_own_text_becomes_the_corpus_of_a_run(
    context: MakeContext, tmp_path: Path
) -> None:
    texts = tmp_path / "own"
    texts.mkdir()
    lines = [json.dumps({"text": f"Note {n} is about a garden with roses."}) for n in range(60)]
    (texts / "notes.jsonl").write_text("\n".join(lines))
    config = replace(SMALL, corpus=str(texts))
    corpus_dirs = []
    for _ in range(2):
        events = provide.provide_corpus(tmp_path / "data", config, (), num_processes=1, stop=never)
        provided = drain(events)
        assert provided is not None
        corpus_dirs.append(provided.corpus.path)
    assert provided is not None and provided.is_reused
    assert corpus_dirs[0] == corpus_dirs[1]
    assert provided.corpus.manifest.num_docs == 60


def test_downloaded_corpus_is_provided_and_stays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(SMALL, corpus="climbmix", num_shards=3)
    with serving(Hub(REMOTE_CORPORA["climbmix"])) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        first = drain(provide.provide_corpus(tmp_path, config, (), num_processes=1, stop=never))
    # The server is gone: what is here is enough.
    again = drain(provide.provide_corpus(tmp_path, config, (), num_processes=1, stop=never))
    assert first is not None and again is not None
    assert again.corpus == first.corpus
    assert again.corpus.manifest.num_docs == 160


def test_corpus_of_the_lab_is_found_by_name_and_the_nearest_is_named(
    corpus: Corpus, tmp_path: Path
) -> None:
    data_dir = corpus.path.parent
    config = replace(SMALL, corpus=corpus.path.name)
    found = drain(provide.provide_corpus(data_dir, config, (), num_processes=1, stop=never))
    assert found is not None and found.corpus == corpus
    with pytest.raises(NotFound, match=r"'climbmix'.*'fake'"):
        drain(
            provide.provide_corpus(
                data_dir, replace(SMALL, corpus="nothing"), (), num_processes=1, stop=never
            )
        )

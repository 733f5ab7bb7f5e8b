"""The `data` stage: the text corpus and the conversations, built once and shared by all runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from core.data.catalogue import EMBEDDED
from core.data.conversations import Conversations, build_conversations, find_conversations
from core.data.corpus import num_readers
from core.data.provide import Provided, Waiting, provide_corpus
from core.data.shards import MANIFEST, file_sha256
from core.data.sources import PACKAGES, Source, embedded_sources
from core.settings.text import DataConfig
from core.stages.context import CheckpointRef, StageContext
from runs.events import Artifact, End, Event, Note


def run(
    config: DataConfig,
    ctx: StageContext,
    *,
    stop: Callable[[], bool],
    resume: CheckpointRef | None,
) -> Iterator[Event]:
    """Provide the corpus and the conversations; what is already there is reused."""
    if ctx.rank:
        return
    yield from prepare(config, ctx, embedded_sources(), stop=stop)


def prepare(
    config: DataConfig,
    ctx: StageContext,
    sources: tuple[Source, ...],
    *,
    stop: Callable[[], bool],
) -> Iterator[Event]:
    """Do the stage's work; `sources` are those of the embedded corpus."""
    stopped = End(reason="stopped")
    provided = yield from provide_corpus(
        ctx.data_dir, config, sources, num_processes=num_readers(), stop=stop
    )
    if provided is None:
        yield stopped
        return
    corpus = provided.corpus
    yield _artifact(ctx, "corpus", corpus.path, corpus.manifest.num_bytes)
    yield _corpus_note(config, provided)
    with Waiting(ctx.data_dir, "waiting for another data stage") as lock:
        if not (yield from lock.acquire(stop)):
            yield stopped
            return
        talks = find_conversations(ctx.data_dir, config, corpus.path.name)
        if talks is None:
            talks = yield from build_conversations(
                ctx.data_dir, config, corpus_dir=corpus.path, stop=stop
            )
    if talks is None:
        yield stopped
        return
    yield _artifact(ctx, "conversations", talks.path, talks.num_bytes)
    yield _conversations_note(talks)


def _artifact(ctx: StageContext, name: str, path: Path, num_bytes: int) -> Artifact:
    return Artifact(
        name=name,
        path=ctx.relative(path),
        bytes=num_bytes,
        sha256=file_sha256(path / MANIFEST),
    )


def _corpus_note(config: DataConfig, provided: Provided) -> Note:
    manifest = provided.corpus.manifest
    is_embedded = config.corpus == EMBEDDED
    absent = [name for name in PACKAGES if name not in manifest.sources] if is_embedded else []
    verb = "reused" if provided.is_reused else "built"
    later = f"; {len(manifest.later)} shards arrive while training" if manifest.later else ""
    return Note(
        message=(
            f"{verb} corpus {manifest.corpus_id}: {manifest.num_docs:,} documents, "
            f"{manifest.num_chars / 1e6:.1f} million characters{later}"
        ),
        data={
            "num_docs": manifest.num_docs,
            "num_chars": manifest.num_chars,
            "chars_by_source": {
                name: count.num_chars for name, count in sorted(manifest.counts.items())
            },
            "absent": absent,
        },
    )


def _conversations_note(talks: Conversations) -> Note:
    counts = {file.name: file.num_rows for file in talks.files}
    rows = ", ".join(f"{count:,} in {name}" for name, count in counts.items())
    return Note(
        message=f"conversations: {rows}",
        data={file.name: dict(file.tasks) for file in talks.files},
    )

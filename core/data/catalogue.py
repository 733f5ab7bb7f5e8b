"""The corpora of a lab: found by id, by name or by directory, and listed. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from core.data.corpus import Corpus
from core.data.remote.known import REMOTE_CORPORA
from core.data.shards import MANIFEST, Manifest, load_manifest
from runs.errors import Corrupt, NotFound, UsageError, nearest

EMBEDDED = "embedded"
_NOT_CORPORA = ("conversations-", ".")


def corpora(data_dir: Path) -> Iterator[Corpus]:
    """Yield the corpora of a lab by name; a directory that cannot be read is left out."""
    for path in sorted(data_dir.glob(f"*/{MANIFEST}")):
        if path.parent.name.startswith(_NOT_CORPORA):
            continue
        try:
            yield Corpus(path=path.parent, manifest=load_manifest(path.parent))
        except (Corrupt, NotFound):
            continue


def corpus_name(manifest: Manifest) -> str:
    """Return what a person calls a corpus: its one source, or what it was harvested from."""
    names = list(manifest.sources)
    return names[0] if len(names) == 1 else EMBEDDED


def find_named(data_dir: Path, ref: str) -> Corpus:
    """Return the corpus that a directory, an id, the start of one, or a name stands for.

    Raises:
        NotFound: there is none; the nearest are named.
        UsageError: several answer to it.
        Corrupt: it is there and cannot be trusted.
    """
    path = Path(ref).expanduser()
    for directory in (data_dir / ref, path):
        if (directory / MANIFEST).is_file():
            return Corpus(path=directory, manifest=load_manifest(directory))
    known = list(corpora(data_dir))
    found = [
        corpus
        for corpus in known
        if corpus.path.name.startswith(ref) or corpus_name(corpus.manifest) == ref
    ]
    if len(found) > 1:
        ids = ", ".join(corpus.path.name for corpus in found)
        raise UsageError(f"{ref!r} names {len(found)} corpora: {ids}; give one of these")
    if not found and ref in REMOTE_CORPORA:
        raise NotFound(f"{ref} has not been downloaded; run: labcli data get {ref}")
    if not found and ref == EMBEDDED:
        raise NotFound(f"{ref} has not been harvested; run: labcli run data")
    if not found:
        names = {EMBEDDED, *REMOTE_CORPORA, *(corpus_name(corpus.manifest) for corpus in known)}
        raise NotFound(
            f"no corpus {ref!r} in {data_dir}{nearest(ref, names)} (a directory is written with "
            "a slash: ./texts)"
        )
    return found[0]

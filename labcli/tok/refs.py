"""The one resolver of tokenizer references: a path, a saved name, a known name or a run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labcli import diagnostics
from labcli.data.harvested import harvested_corpus
from labcli.speaking.speaker import tokenizer_paths
from runs.errors import LabError, NotFound, UsageError, nearest
from runs.paths import LabHome
from runs.record import load_record
from runs.refs import parse_ref, resolve_training_run
from runs.views.query import run_dirs

if TYPE_CHECKING:
    from core.tokenizer import Tokenizer

DEFAULT_NAME = "default"
DEFAULT_VOCAB_SIZE = 4096
SUFFIX = ".json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTokenizer:
    """A tokenizer, a short name to show for it, and where it came from."""

    name: str
    source: str
    tokenizer: Tokenizer


def resolve_tokenizer(home: LabHome, ref: str | None) -> NamedTokenizer:
    """Return the tokenizer that `ref` names.

    None stands for the newest run that has one, else for one that is trained on the
    documentation of this machine when it is first needed.

    Raises:
        NotFound: nothing has this name; the nearest names are given.
        UsageError: several runs match.
        Corrupt: the file is damaged.
    """
    if ref is None:
        return _of_newest_run(home) or _default(home)
    path = Path(ref).expanduser()
    if "/" in ref or path.exists():
        return _from_path(path)
    saved = home.tokenizers_dir / f"{ref}{SUFFIX}"
    if _NAME.fullmatch(ref) and saved.is_file():
        return _saved(saved)
    if ref == DEFAULT_NAME:
        return _default(home)
    return _known(ref) or _of_run(home, ref)


def saved_path(home: LabHome, name: str) -> Path:
    """Return the file of a saved tokenizer, or raise UsageError for a name that is none."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a tokenizer; use letters, digits, dots, dashes and underscores"
        )
    return home.tokenizers_dir / f"{name}{SUFFIX}"


def _from_path(path: Path) -> NamedTokenizer:
    from core.vocab.importing import load_vocabulary

    loaded = load_vocabulary(path)
    for note in loaded.notes:
        diagnostics.say(f"{path.name}: {note}")
    place = path.absolute()
    if place.is_dir():
        name = place.name
    else:
        # Most files of this kind are called tokenizer.json; the directory tells them apart.
        name = place.parent.name if place.stem in ("tokenizer", "vocab") else place.stem
    return NamedTokenizer(name=name or str(path), source=str(path), tokenizer=loaded.tokenizer)


def _saved(path: Path) -> NamedTokenizer:
    from core.tokenizer import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    return NamedTokenizer(name=path.stem, source=str(path), tokenizer=tokenizer)


def _known(ref: str) -> NamedTokenizer | None:
    from core.vocab.known import KNOWN, find_known

    if ref not in KNOWN:
        return None
    found = find_known(ref, os.environ)
    return NamedTokenizer(name=ref, source=str(found.path), tokenizer=found.tokenizer)


def _of_run(home: LabHome, ref: str) -> NamedTokenizer:
    try:
        run_dir = resolve_training_run(home, parse_ref(ref).run)
    except NotFound:
        raise NotFound(
            f"no tokenizer or run matches {ref!r}{nearest(ref, dict.fromkeys(_names(home)))}"
        ) from None
    found = _in_run(run_dir)
    if found is None:
        raise NotFound(f"run {run_dir.name[27:]} has no tokenizer yet; it may be at its data stage")
    return found


def _of_newest_run(home: LabHome) -> NamedTokenizer | None:
    return next((found for run_dir in run_dirs(home) if (found := _in_run(run_dir))), None)


def _in_run(run_dir: Path) -> NamedTokenizer | None:
    """Return the tokenizer that a run made or was given."""
    from core.tokenizer import Tokenizer

    path = next((path for path in tokenizer_paths(run_dir) if path.is_file()), None)
    if path is None:
        return None
    name = run_dir.name[27:] or run_dir.name
    return NamedTokenizer(name=name, source=str(path), tokenizer=Tokenizer.from_file(path))


def _default(home: LabHome) -> NamedTokenizer:
    from core.vocab.sources import find_sources
    from core.vocab.training import train_tokenizer

    path = home.tokenizers_dir / f"{DEFAULT_NAME}{SUFFIX}"
    if not path.is_file():
        corpus = harvested_corpus(home)
        trained = train_tokenizer(find_sources([str(corpus)]), vocab_size=DEFAULT_VOCAB_SIZE)
        if trained is None:
            raise LabError("the training of the default tokenizer was stopped")
        trained.tokenizer.save(path)
        diagnostics.say(
            f"no run has a tokenizer yet; trained one of {trained.tokenizer.vocab_size} ids on "
            f"this machine's documentation, kept as {path}"
        )
    return _saved(path)


def _names(home: LabHome) -> Iterable[str]:
    from core.vocab.known import KNOWN

    yield from KNOWN
    yield from (path.stem for path in home.tokenizers_dir.glob(f"*{SUFFIX}"))
    for run_dir in run_dirs(home):
        yield run_dir.name[27:]
        try:
            record = load_record(run_dir)
        except LabError:
            continue
        if record.name:
            yield record.name

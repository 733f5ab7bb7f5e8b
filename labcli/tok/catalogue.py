"""The tokenizers and corpus counts that the full-screen playground chooses from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from labcli.speaking.speaker import tokenizer_paths
from labcli.tok.refs import DEFAULT_NAME, resolve_tokenizer
from runs.errors import LabError
from runs.paths import LabHome
from runs.views.query import run_dirs
from tui.tokens.vocabularies import Choice, CorpusCounts, Vocabularies

if TYPE_CHECKING:
    from core.tokenizer import Tokenizer


def vocabularies(home: LabHome) -> Vocabularies:
    """Return how the tokenizers of a lab home are listed, loaded and counted."""
    return Vocabularies(
        choices=partial(_choices, home),
        load=partial(resolve_tokenizer, home),
        count=partial(_count, home),
    )


def _choices(home: LabHome) -> tuple[Choice, ...]:
    return (*_of_runs(home), *_saved(home), *_known())


def _of_runs(home: LabHome) -> Iterator[Choice]:
    for run_dir in run_dirs(home):
        if any(path.is_file() for path in tokenizer_paths(run_dir)):
            yield Choice(ref=run_dir.name[27:] or run_dir.name, kind="run")


def _saved(home: LabHome) -> Iterator[Choice]:
    names = sorted(path.stem for path in home.tokenizers_dir.glob("*.json"))
    yield from (Choice(ref=name, kind="saved") for name in names)
    if DEFAULT_NAME not in names:
        yield Choice(ref=DEFAULT_NAME, kind="made here", remark="trained when first opened")


def _known() -> Iterator[Choice]:
    from core.vocab.known import KNOWN

    yield from (Choice(ref=name, kind="known", remark="where at hand") for name in KNOWN)


def _count(home: LabHome, tokenizer: Tokenizer) -> CorpusCounts | None:
    """Return how often each id occurs in the last run's corpus, else in the embedded one."""
    from core.inspection.usage import token_counts
    from labcli.tok.corpus import read_corpus

    for ref in ("last", None):
        try:
            corpus = read_corpus(home, ref)
        except LabError:
            continue
        return CorpusCounts(corpus=corpus.name, counts=token_counts(tokenizer, corpus.texts))
    return None

"""`labcli tok eval`: how well tokenizers compress, and whether they do right."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labcli import diagnostics
from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.output import emit, emit_json, stdout_columns
from labcli.tok.given import TokenizersOption
from runs.errors import NotFound
from runs.paths import LabHome

if TYPE_CHECKING:
    from core.inspection.evaluation import Evaluation, TextSet
    from labcli.tok.refs import NamedTokenizer

KNOWN = ("gpt2", "cl100k_base", "o200k_base")
CORPUS = "corpus"

app = lone_command()

CorpusOption = Annotated[
    str | None,
    optional(
        "--corpus",
        "DIR|RUN",
        "Measure on this corpus, text or run's corpus; default: the embedded one's "
        "validation text.",
    ),
]
LanguagesOption = Annotated[
    Path | None,
    optional(
        "--languages",
        "FILE",
        "Take parallel texts from a TOML file of [[language]] tables (code, name, script, "
        "paragraphs); default: built in.",
    ),
]
AloneOption = Annotated[
    bool, typer.Option("--alone", help=f"Leave out {', '.join(KNOWN)} where they are at hand.")
]


@app.command("eval")
def evaluate_command(
    ctx: typer.Context,
    tokenizer: TokenizersOption = None,
    corpus: CorpusOption = None,
    languages: LanguagesOption = None,
    alone: AloneOption = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Measure how well tokenizers compress, per kind of text and per language.

    A word is a run of characters without white space. Languages are compared on the same content,
    articles of the Universal Declaration of Human Rights.
    """
    from core.inspection.evaluation import evaluate
    from core.inspection.languages import BUILT_IN, load_languages
    from labcli.tok import evaluation
    from labcli.tok.refs import resolve_tokenizer

    parallel = load_languages(languages or BUILT_IN)
    lab = home_of(ctx, home)
    refs: list[str | None] = [*tokenizer] if tokenizer else [None]
    named = [resolve_tokenizer(lab, ref) for ref in refs]
    named += [] if alone else _known(named)
    sets = _text_sets(lab, corpus)
    found = [evaluate(entry.tokenizer, sets, parallel) for entry in named]
    if json:
        emit_json(
            {
                "texts": [{"name": one.name, **asdict(one.size)} for one in sets],
                "tokenizers": [
                    evaluation.evaluation_object(entry.name, entry.source, entry.tokenizer, one)
                    for entry, one in zip(named, found, strict=True)
                ],
            }
        )
    else:
        emit(_text(named, sets, found))


def _text(named: list[NamedTokenizer], sets: list[TextSet], found: list[Evaluation]) -> str:
    from labcli.tok import comparison, evaluation

    width = stdout_columns()
    names = comparison.distinct([entry.name for entry in named])
    parts = [
        evaluation.vocabulary_table(names, found, width),
        evaluation.compression_table(names, found, sets, width),
        evaluation.use_table(names, found, sets[0].name, width),
        evaluation.language_table(names, found, width),
        "\n".join(evaluation.check_lines(names, [entry.tokenizer for entry in named], found)),
    ]
    return "\n\n".join(parts)


def _known(given: list[NamedTokenizer]) -> list[NamedTokenizer]:
    """Return the known vocabularies that are at hand and were not asked for already."""
    from core.vocab.known import search_known
    from labcli.tok.refs import NamedTokenizer

    wanted = [name for name in KNOWN if name not in {entry.name for entry in given}]
    search = search_known(wanted, os.environ)
    for line in search.missing.values():
        diagnostics.say(line)
    return [
        NamedTokenizer(name=found.name, source=str(found.path), tokenizer=found.tokenizer)
        for found in search.found
    ]


def _text_sets(home: LabHome, ref: str | None) -> list[TextSet]:
    """Return the corpus, where there is one, and the built-in samples."""
    from core.inspection.evaluation import text_set
    from core.inspection.samples import load_samples
    from labcli.tok.corpus import read_corpus

    sets = [text_set(sample.name, [sample.text]) for sample in load_samples()]
    try:
        corpus = read_corpus(home, ref)
    except NotFound as error:
        if ref is not None:
            raise
        diagnostics.say(str(error))
        return sets
    if corpus.is_cut:
        diagnostics.say(f"measured on the first part of {corpus.name}; it holds more")
    diagnostics.say(f"corpus: {corpus.name}")
    return [text_set(CORPUS, corpus.texts), *sets]

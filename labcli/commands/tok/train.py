"""`labcli tok train`: train a tokenizer on text."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from labcli import diagnostics
from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.output import emit, emit_json, stdout_columns
from labcli.text.figures import seconds, size
from labcli.text.tables import render_facts
from labcli.tok.written import ForceOption, save_tokenizer
from runs.errors import LabError, UsageError
from runs.paths import LabHome

if TYPE_CHECKING:
    from core.vocab.sources import Source
    from core.vocab.training import Trained

DEFAULT_VOCAB_SIZE = 4096
STDIN = "-"

app = lone_command()

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE",
        help="Read these files (.parquet, .jsonl, .txt, ...), directories, corpora, or '-' for "
        "stdin; default: the documentation on this machine.",
        show_default=False,
    ),
]
VocabSize = Annotated[
    int, typer.Option(metavar="N", help="Make N ids, 256 bytes and 9 special tokens among them.")
]
Pattern = Annotated[
    str,
    typer.Option(
        metavar="NAME|REGEX", help="Split words by lab, gpt4, gpt2, cl100k, o200k or a regex."
    ),
]
Name = Annotated[
    str | None,
    optional("--name", "NAME", "Keep it in the lab home by this name."),
]
Out = Annotated[
    Path | None,
    optional("--out", "FILE", "Write it to this file instead."),
]
MaxChars = Annotated[
    int | None,
    optional("--max-chars", "N", "Read N characters at most.", min=1),
]
MaxDocChars = Annotated[
    int | None,
    optional("--max-doc-chars", "N", "Read N characters of a document at most.", min=1),
]
OnErrors = Annotated[
    Literal["replace", "refuse"],
    typer.Option("--errors", help="Count bytes that are not UTF-8 as U+FFFD, or end there."),
]
Column = Annotated[
    str, typer.Option(metavar="NAME", help="Take the text from this column or JSON key.")
]


@app.command()
def train(
    ctx: typer.Context,
    sources: Sources = None,
    vocab_size: VocabSize = DEFAULT_VOCAB_SIZE,
    pattern: Pattern = "lab",
    name: Name = None,
    out: Out = None,
    max_chars: MaxChars = None,
    max_doc_chars: MaxDocChars = None,
    errors: OnErrors = "replace",
    column: Column = "text",
    force: ForceOption = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Train a tokenizer on text.

    Without --name or --out it is kept in the lab home by the name of its size and pattern.
    """
    from core.vocab.byte_merges import digest, from_ids
    from core.vocab.patterns import pattern_label, pattern_of
    from core.vocab.training import Reading, check_vocab_size, train_tokenizer

    lab = home_of(ctx, home)
    check_vocab_size(vocab_size)
    label = pattern_label(pattern_of(pattern))
    path = _target(lab, name, out, f"{label if label == pattern else 'regex'}-{vocab_size}")
    began_s = time.perf_counter()
    status = diagnostics.StatusLine()
    try:
        trained = train_tokenizer(
            _find(lab, sources or []),
            vocab_size=vocab_size,
            reading=Reading(
                pattern=pattern,
                max_chars=max_chars,
                max_doc_chars=max_doc_chars,
                errors=errors,
                column=column,
            ),
            progress=lambda step, done, total: status.update(f"{step} {done / max(total, 1):.0%}"),
        )
    finally:
        status.clear()
    if trained is None:
        raise LabError("the training was stopped")
    wall_s = time.perf_counter() - began_s
    save_tokenizer(trained.tokenizer, path, force=force)
    _warn(trained, vocab_size)
    row = _row(trained, path, label, wall_s)
    row["merges_sha256"] = digest(from_ids(trained.tokenizer.merges or ()))
    emit_json(row) if json else emit(_text(row))


def _target(lab: LabHome, name: str | None, out: Path | None, default: str) -> Path:
    from labcli.tok.refs import saved_path

    if name is not None and out is not None:
        raise UsageError("give --name or --out, not both")
    return out.expanduser() if out is not None else saved_path(lab, name or default)


def _find(lab: LabHome, names: list[str]) -> list[Source]:
    from core.vocab.sources import TextInMemory, find_sources
    from labcli.data.harvested import harvested_corpus

    if not names:
        return find_sources([str(harvested_corpus(lab))])
    found: list[Source] = []
    for name in names:
        if name == STDIN:
            found.append(TextInMemory(name="stdin", data=sys.stdin.buffer.read()))
        else:
            found += find_sources([name], corpora=lab.data_dir)
    return found


def _warn(trained: Trained, vocab_size: int) -> None:
    if trained.tokenizer.vocab_size < vocab_size:
        diagnostics.say(
            f"the text ran out of pairs at {trained.tokenizer.vocab_size} of {vocab_size} ids; "
            "use more text for more"
        )
    if trained.num_replaced:
        diagnostics.say(f"bytes that are not UTF-8, read as U+FFFD: {trained.num_replaced}")


def _row(trained: Trained, path: Path, label: str, wall_s: float) -> dict[str, Any]:
    return {
        "name": path.stem,
        "path": str(path),
        "vocab_size": trained.tokenizer.vocab_size,
        "pattern": label,
        "num_docs": trained.num_docs,
        "num_chars": trained.num_chars,
        "num_words": trained.num_words,
        "num_replaced": trained.num_replaced,
        "bytes_per_token": round(trained.bytes_per_token, 4),
        "wall_s": round(wall_s, 3),
        "memory_bytes": trained.memory_bytes,
        "sha256": trained.tokenizer.hash,
    }


def _text(row: dict[str, Any]) -> str:
    facts = {
        "name": row["name"],
        "size": f"{row['vocab_size']:,} ids",
        "pattern": row["pattern"],
        "text": f"{row['num_docs']:,} documents, {row['num_chars']:,} characters",
        "words": f"{row['num_words']:,} distinct",
        "compression": f"{row['bytes_per_token']:.2f} bytes per token",
        "time": seconds(cast(float, row["wall_s"])),
        "memory": size(cast(float, row["memory_bytes"])),
        "replaced": f"{row['num_replaced']:,} invalid bytes" if row["num_replaced"] else "",
        "sha256": row["merges_sha256"],
        "file": row["path"],
    }
    return render_facts(facts, width=stdout_columns())

"""A corpus in words and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labcli.text.figures import ABSENT, size
from labcli.text.tables import render
from tui.analysis.words import short_count

if TYPE_CHECKING:
    from core.data.shards import Manifest

COLUMNS = ("name", "corpus_id", "num_shards", "num_docs", "num_chars", "bytes", "state")


def corpus_row(path: Path, manifest: Manifest) -> dict[str, Any]:
    """Return the figures of a corpus of this lab."""
    from core.data.catalogue import corpus_name

    num_later = len(manifest.later)
    num_here = sum((path / shard.name).is_file() for shard in manifest.later)
    return {
        "kind": "corpus",
        "name": corpus_name(manifest),
        "corpus_id": manifest.corpus_id,
        "path": str(path),
        "num_shards": len(manifest.shards) + num_here,
        "num_shards_planned": len(manifest.shards) + num_later,
        "num_docs": manifest.num_docs,
        "num_chars": manifest.num_chars,
        "bytes": manifest.num_bytes,
        "val_sha256": manifest.val_sha256,
        "sources": dict(manifest.sources),
        "state": "complete" if num_here == num_later else "arriving",
    }


def list_text(rows: Sequence[Mapping[str, Any]], *, width: int | None = None) -> str:
    """Return corpora as a table, and below it the commands that download one, to be copied.

    width: the columns of a terminal, to which the table is fitted.
    """
    table = render(
        ("NAME", "CORPUS", "SHARDS", "DOCS", "CHARS", "SIZE", "STATE"),
        [
            [
                row["name"],
                row["corpus_id"] or ABSENT,
                str(row["num_shards"]),
                short_count(row["num_docs"]),
                short_count(row["num_chars"]),
                size(row["bytes"]),
                row["state"],
            ]
            for row in rows
        ],
        right="llrrrrl",
        width=width,
    )
    gettable = [row["name"] for row in rows if row["kind"] == "download"]
    return "\n".join([table, "", *(f"labcli data get {name}" for name in gettable)]).rstrip()


def corpus_facts(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures of a corpus in words."""
    sources = ", ".join(f"{name} {version}" for name, version in row["sources"].items())
    shards = f"{row['num_shards']}"
    if row["num_shards"] < row["num_shards_planned"]:
        shards += f" of {row['num_shards_planned']}; the others arrive while models train"
    return {
        "corpus": row["corpus_id"],
        "name": row["name"],
        "from": sources,
        "shards": shards,
        "documents": f"{row['num_docs']:,}",
        "characters": f"{row['num_chars']:,}",
        "size": size(row["bytes"]),
        "validation": f"sha256 {row['val_sha256']}",
        "directory": row["path"],
    }

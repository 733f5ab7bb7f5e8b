"""What people gave a run, its name, tags and notes, as JSON and as text. Pure."""

from __future__ import annotations

from typing import Any

from runs.views.run_view import RunView


def labels_object(view: RunView) -> dict[str, Any]:
    """Return the document of `runs tag`, `runs note` and `runs rename` with --json."""
    return {
        "run_id": view.run_id,
        "slug": view.slug,
        "name": view.name,
        "tags": list(view.tags),
        "notes": list(view.notes),
    }

"""Writing what a stage leaves behind. Torch-free."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from core.stages.context import StageContext
from runs.events import Artifact


def write_artifact(ctx: StageContext, file_name: str, content: str, *, name: str) -> Artifact:
    """Write a file of this stage, replaced whole, and return the event that announces it."""
    data = content.encode("utf-8", errors="replace")
    path = ctx.artifacts_dir / file_name
    _replace(path, data)
    return Artifact(
        name=name,
        path=ctx.relative(path),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(aside, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(path)

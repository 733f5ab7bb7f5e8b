"""Writing what a stage leaves behind. Torch-free."""

from __future__ import annotations

import hashlib

from core.files import replace_file
from core.stages.context import StageContext
from runs.events import Artifact


def write_artifact(ctx: StageContext, file_name: str, content: str, *, name: str) -> Artifact:
    """Write a file of this stage, replaced whole, and return the event that announces it."""
    data = content.encode("utf-8", errors="replace")
    path = ctx.artifacts_dir / file_name
    replace_file(path, data)
    return Artifact(
        name=name,
        path=ctx.relative(path),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )

"""What a self-chat leaves behind when it has ended, and what it announces when it begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from core.experiments.measures.summary import summarise
from core.experiments.report.page import render_page
from core.experiments.selfchat.archive import (
    EXPERIMENT_FILE,
    PAGE_FILE,
    SUMMARY_FILE,
    TOKENS_FILE,
    TRANSCRIPTS_FILE,
    experiment_text,
    transcripts_text,
)
from core.experiments.selfchat.token_table import tokens_table
from core.experiments.selfchat.transcript import Experiment
from core.files import replace_file
from core.stages.artifacts import write_artifact
from core.stages.context import StageContext
from core.tokenizer import Tokenizer
from runs.events import Artifact, Eval, Event


def announce(ctx: StageContext, experiment: Experiment) -> Artifact:
    """Write which conversations there will be, so that a watcher can place their turns."""
    return write_artifact(ctx, EXPERIMENT_FILE, experiment_text(experiment), name="experiment")


def write_outcome(ctx: StageContext, experiment: Experiment) -> Iterator[Event]:
    """Write transcript, tokens and summary; equal conversations give equal bytes."""
    yield write_artifact(ctx, TRANSCRIPTS_FILE, transcripts_text(experiment), name="transcripts")
    yield announce(ctx, experiment)
    table = tokens_table(experiment)
    path = ctx.artifacts_dir / TOKENS_FILE
    replace_file(path, table)
    yield Artifact(
        name="tokens",
        path=ctx.relative(path),
        bytes=len(table),
        sha256=hashlib.sha256(table).hexdigest(),
    )
    summary = summarise(experiment)
    body = summary.to_json()
    for row, one in zip(body["settings"], summary.settings, strict=True):
        if one.setting.step is not None:
            row |= {"stage": one.setting.stage, "step": one.setting.step}
    text = json.dumps(body, ensure_ascii=False, indent=1) + "\n"
    yield write_artifact(ctx, SUMMARY_FILE, text, name="summary")
    tokenizers = (path for name, path in ctx.inputs.items() if name.startswith("tokenizer:"))
    tokenizer = Tokenizer.from_file(next(tokenizers).path)
    page = render_page(experiment, summary, tokenizer, run_id=ctx.run_dir.name[:26])
    yield write_artifact(ctx, PAGE_FILE, page, name="report")
    for found in summary.settings:
        # An event each: together they would not fit into one line of the log.
        means = {name: one.mean for name, one in found.metrics.items() if one is not None}
        yield Eval(step=found.setting.step or 0, results={found.name: means})

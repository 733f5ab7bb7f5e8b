"""The `sft` stage: supervised fine-tuning on conversations."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from core.settings.training import ChatTrainConfig
from core.stages.chat_training import train_on_conversations
from core.stages.context import CheckpointRef, StageContext
from runs.events import Event


def run(
    config: ChatTrainConfig,
    ctx: StageContext,
    *,
    stop: Callable[[], bool],
    resume: CheckpointRef | None,
) -> Iterator[Event]:
    """Train the parent checkpoint on the conversations of this stage."""
    yield from train_on_conversations(config, ctx, file_name="sft.jsonl", stop=stop, resume=resume)

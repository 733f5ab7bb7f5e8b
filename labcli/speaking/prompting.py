"""What a model is given to go on from: a conversation, or with a base model a text. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labcli.speaking.speaker import Speaker

if TYPE_CHECKING:
    from core.engine.context import Fitted

BASE_NOTE = "a base model: it continues the text of a prompt; it has not learnt to answer"


def prompt_of(speaker: Speaker, messages: Sequence[Mapping[str, Any]], room: int) -> Fitted:
    """Return what a model goes on from for an answer to the last message.

    A chat model reads the conversation, cut as it outgrew `room` tokens. A base model knows no
    turns: it reads the last message as the beginning of a text, behind the system text.
    """
    from core.chat_format import prompt_ids
    from core.engine.context import Fitted, fit

    tokenizer = speaker.engine.tokenizer
    if not speaker.is_base:
        return fit(tokenizer, messages, room)
    system = [messages[0]] if messages[0]["role"] == "system" else []
    text = "\n\n".join(str(message["content"]) for message in [*system, messages[-1]])
    return Fitted(prompt_ids=tuple(prompt_ids(tokenizer, text, is_base=True)), num_dropped=0)

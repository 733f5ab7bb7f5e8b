"""A conversation as the model sees it, token by token, with what it is to learn. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.chat_format import PartType, Role, parse_messages, segments
from core.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationToken:
    """One token of a rendered conversation.

    `mask` is 1 where the model learns the token. `message` counts the turns from 0; a system text
    is part of the first one. The opening token belongs to no turn, and markers of turns to no part.
    """

    index: int
    id: int
    data: bytes
    is_special: bool
    mask: Literal[0, 1]
    message: int | None
    role: Role | None
    part: PartType | None


def conversation_tokens(
    tokenizer: Tokenizer, messages: Sequence[Mapping[str, Any]]
) -> tuple[ConversationToken, ...]:
    """Return every token of a conversation, as training renders it.

    Raises:
        UsageError: the messages are no conversation.
    """
    first_special = tokenizer.vocab_size - tokenizer.num_specials
    rows: list[ConversationToken] = []
    for segment in segments(tokenizer, parse_messages(messages)):
        for token_id in segment.ids:
            rows.append(
                ConversationToken(
                    index=len(rows),
                    id=token_id,
                    data=tokenizer.token_bytes(token_id),
                    is_special=token_id >= first_special,
                    mask=segment.mask,
                    message=segment.message,
                    role=segment.role,
                    part=segment.part,
                )
            )
    return tuple(rows)

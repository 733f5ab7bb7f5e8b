"""Text to tokens and back: /tokenize and /detokenize."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request

from core.chat_format import render, render_for_completion
from core.serve.bodies import ChatMessage, DetokenizeBody, TokenizeBody
from core.serve.errors import bad_request
from core.serve.limits import check_messages, check_text
from core.serve.service import encoded, service_of
from core.tokenizer import Tokenizer

router = APIRouter()


@router.post("/tokenize")
async def tokenize(request: Request, body: TokenizeBody) -> dict[str, Any]:
    """Return the ids of a text, or of a conversation with the markers that a model sees."""
    if (body.text is None) == (body.messages is None):
        raise bad_request("give either text or messages", "text")
    check_text(len(body.text or ""))
    model = await service_of(request).models.find(body.model)
    if body.text is not None:
        num_chars, num_bytes = len(body.text), len(body.text.encode("utf-8", "replace"))
        ids = await encoded(partial(model.tokenizer.encode, body.text), num_chars)
    else:
        messages = body.messages or []
        lengths = [message.num_chars for message in messages]
        check_messages(lengths, [message.role == "assistant" for message in messages])
        num_chars, num_bytes = sum(lengths), None
        ids = await encoded(partial(_conversation_ids, model.tokenizer, messages), num_chars)
    pieces = [model.tokenizer.token_bytes(token_id) for token_id in ids]
    return {
        "model": model.name,
        "ids": ids,
        # A token may hold a part of a character; the replacement character stands for it then.
        "pieces": [piece.decode("utf-8", errors="replace") for piece in pieces],
        "count": len(ids),
        "num_chars": num_chars,
        "num_bytes": num_bytes,
        "vocab_size": model.tokenizer.vocab_size,
    }


@router.post("/detokenize")
async def detokenize(request: Request, body: DetokenizeBody) -> dict[str, Any]:
    """Return the text of ids, whole and one by one; special tokens as their written names."""
    model = await service_of(request).models.find(body.model)
    return {
        "model": model.name,
        "text": model.tokenizer.decode(body.ids),
        "pieces": [model.tokenizer.decode([token_id]) for token_id in body.ids],
        "count": len(body.ids),
    }


def _conversation_ids(tokenizer: Tokenizer, messages: list[ChatMessage]) -> list[int]:
    turns = [message.as_turn() for message in messages]
    if turns[-1]["role"] == "user":
        return render_for_completion(tokenizer, turns)
    return render(tokenizer, turns).ids

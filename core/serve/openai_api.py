"""The OpenAI-compatible calls: /v1/models, /v1/completions, /v1/chat/completions."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from core.chat_format import render_for_completion
from core.engine.context import Fitted, fit
from core.serve.bodies import ChatBody, CompletionBody
from core.serve.errors import ApiError
from core.serve.forms import ChatForm, CompletionForm, Form
from core.serve.limits import DEFAULT_MAX_NEW_TOKENS
from core.serve.models import Model, ModelCard
from core.serve.service import encoded, service_of

router = APIRouter()


@router.get("/v1/models")
async def list_models(request: Request) -> dict[str, Any]:
    """Return every model that a call may name, the default first."""
    service = service_of(request)
    loaded = {name for seat in service.pool.seats for name in seat.slots}
    cards = await service.models.cards()
    data = [
        _listed(card, is_loaded=card.name in loaded, is_default=index == 0)
        for index, card in enumerate(cards)
    ]
    return {"object": "list", "data": data}


@router.get("/v1/models/{name:path}")
async def show_model(request: Request, name: str) -> dict[str, Any]:
    """Return one model, by any name that a call may use."""
    service = service_of(request)
    model = await service.models.find(name)
    default = await service.models.find(None)
    is_loaded = any(model.name in seat.slots for seat in service.pool.seats)
    return _listed(model.spec.card, is_loaded=is_loaded, is_default=model.name == default.name)


@router.post("/v1/chat/completions")
async def chat_completions(request: Request, body: ChatBody) -> Response:
    """Answer a conversation."""
    num_top = (body.top_logprobs or 0) if body.logprobs else None
    return await answer_chat(
        request, body, ChatForm(num_top), num_top=num_top, is_stream=body.stream
    )


@router.post("/v1/completions")
async def completions(request: Request, body: CompletionBody) -> Response:
    """Continue one or several prompts; text is put behind the token that opens a document."""
    body.check_neutral()
    prompts = body.prompts()
    service = service_of(request)
    model = await service.models.find(body.model)
    ids = []
    for prompt in prompts:
        if isinstance(prompt, str):
            text = await encoded(partial(model.tokenizer.encode, prompt), len(prompt))
            ids.append([model.tokenizer.bos, *text])
        else:
            ids.append(prompt)
    return service.begin(
        body,
        model,
        ids,
        CompletionForm(body.logprobs),
        num_top=body.logprobs,
        is_stream=body.stream,
    )


async def answer_chat(
    request: Request, body: ChatBody, form: Form, *, num_top: int | None, is_stream: bool
) -> Response:
    """Begin the answer to a conversation, in the given form."""
    body.check_neutral()
    turns = body.turns()
    service = service_of(request)
    model = await service.models.find(body.model)
    num_chars = sum(message.num_chars for message in body.messages)
    fitted = await encoded(partial(_fitted, body, model, turns), num_chars)
    return service.begin(
        body,
        model,
        [fitted.prompt_ids],
        form,
        num_top=num_top,
        is_stream=is_stream,
        num_dropped=fitted.num_dropped,
    )


def _fitted(body: ChatBody, model: Model, turns: list[dict[str, Any]]) -> Fitted:
    """Return a conversation's ids with room for the answer, cut only when the call says so."""
    most = model.spec.max_positions
    if body.is_cut:
        num_new = body.new_tokens or min(DEFAULT_MAX_NEW_TOKENS, most // 2)
        fitted = fit(model.tokenizer, turns, most - num_new)
    else:
        num_new = body.new_tokens or 1
        ids = render_for_completion(model.tokenizer, turns)
        fitted = Fitted(prompt_ids=tuple(ids), num_dropped=0)
    if len(fitted.prompt_ids) + num_new > most:
        what = "the last question" if body.is_cut else "the conversation"
        advice = "" if body.is_cut else ', or send "truncation": "auto" to leave old turns unread'
        raise ApiError(
            f"{what} takes {len(fitted.prompt_ids)} tokens and the answer {num_new}, and "
            f"{model.name} has {most} positions; shorten it or ask for fewer tokens{advice}",
            status=400,
            code="context_length_exceeded",
            param="messages",
        )
    return fitted


def _listed(card: ModelCard, *, is_loaded: bool, is_default: bool) -> dict[str, Any]:
    lab = {"run_id": card.run_id, "stage": card.stage, "step": card.step}
    return {
        "id": card.name,
        "object": "model",
        "created": int(card.created_s),
        "owned_by": "labcli",
        "lab": {**lab, "is_loaded": is_loaded, "is_default": is_default},
    }

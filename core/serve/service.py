"""What the routes share: the models, the workers, the counters; and how a call is begun."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from starlette.requests import Request

from core.serve.bodies import SamplingBody
from core.serve.choice import Choice
from core.serve.errors import ApiError, bad_request
from core.serve.forms import Form
from core.serve.limits import DEFAULT_TEMPERATURE, DEFAULT_TOP_K, MAX_CHOICES
from core.serve.metrics import Metrics
from core.serve.models import Model, Models
from core.serve.pool import Pool
from core.serve.reply import Call, Reply
from core.serve.settings import ServeSettings

Ids = TypeVar("Ids")
MAX_SEED = 2**63
# A text below this is encoded in well under a millisecond, less than a thread takes to wake.
MAX_CHARS_AT_ONCE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One server's parts; held by the application and handed to the routes."""

    settings: ServeSettings
    models: Models
    pool: Pool
    metrics: Metrics
    started_s: float

    def begin(
        self,
        body: SamplingBody,
        model: Model,
        prompts: Sequence[Sequence[int]],
        form: Form,
        *,
        num_top: int | None,
        is_stream: bool,
        num_dropped: int = 0,
    ) -> Reply:
        """Queue a call and return the response that will carry its answer.

        `num_dropped` messages were left out of the prompt.

        Raises:
            ApiError: a bad request, or one that there is no room for.
        """
        num_each = body.n or 1
        if len(prompts) * num_each > MAX_CHOICES:
            raise bad_request(f"prompts x n is above {MAX_CHOICES}", "n")
        num_alternatives = num_top
        if body.lab:
            num_alternatives = max(LAB_ALTERNATIVES, num_top or 0)
        seed = secrets.randbelow(2**31) if body.seed is None else body.seed % MAX_SEED
        base = {**sampling_of(body), "num_alternatives": num_alternatives}
        seeds = [derive_seed(seed, index) for index in range(len(prompts) * num_each)]
        requests = [
            {**base, "prompt_ids": list(prompts[index // num_each]), "seed": each}
            for index, each in enumerate(seeds)
        ]
        try:
            generation = self.pool.submit(model.spec, requests)
        except ApiError:
            self.metrics.count_request("rejected")
            raise
        choices = [
            Choice(
                index=index,
                seed=each,
                submitted_s=generation.submitted_s,
                num_prompt_tokens=len(prompts[index // num_each]),
                tokenizer=model.tokenizer,
                num_alternatives=num_alternatives,
            )
            for index, each in enumerate(seeds)
        ]
        call = Call(
            id=form.id_prefix + secrets.token_hex(12),
            created_s=int(time.time()),
            model=model.spec,
            num_dropped=num_dropped,
            num_prompt_tokens=sum(map(len, prompts)),
            choices=choices,
            has_lab=body.lab,
            is_stream=is_stream,
            has_usage=body.stream_options is not None and body.stream_options.include_usage,
            timeout_s=self.settings.timeout_s,
        )
        return Reply(call, form, generation, self.metrics)


LAB_ALTERNATIVES = 5


def service_of(request: Request) -> Service:
    """Return the service of the application that a request came to."""
    return cast(Service, request.app.state.service)


def sampling_of(body: SamplingBody) -> dict[str, Any]:
    """Return the settings of core.engine.request; what is not said is the lab's default."""
    top_k = DEFAULT_TOP_K if body.top_k is None else body.top_k
    return {
        "max_new_tokens": body.new_tokens,
        "temperature": DEFAULT_TEMPERATURE if body.temperature is None else body.temperature,
        "top_k": top_k or None,
        "top_p": body.top_p,
        "min_p": body.min_p or None,
        "repetition_penalty": body.repetition_penalty or 1.0,
        "stop": body.stops,
    }


def derive_seed(seed: int, index: int) -> int:
    """Return the seed of a choice: the first has the call's own, so n = 1 repeats it."""
    if index == 0:
        return seed
    digest = hashlib.blake2b(f"{seed}/{index}".encode("ascii"), digest_size=8).digest()
    # JavaScript holds whole numbers below 2^53 exactly: a seed that it shows can be sent back.
    return int.from_bytes(digest, "big") % 2**53


async def encoded(encode: Callable[[], Ids], num_chars: int) -> Ids:
    """Return what `encode` returns, called aside when the text is long."""
    if num_chars <= MAX_CHARS_AT_ONCE:
        return encode()
    return await asyncio.to_thread(encode)

"""Batched generation: one prefill, then one token per row and step over a static cache.

Shapes: B rows, T prompt positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from core.engine.answer import join_parts
from core.engine.cache import KVCache
from core.engine.request import Completion, Request, Token
from core.engine.row import Row, Tool
from core.engine.sampling import Sampler
from core.engine.tools import calculate
from core.model import GPT
from core.tokenizer import Tokenizer
from runs.errors import UsageError

Weights = Literal["native", "float32", "bfloat16", "int8"]

# Kernels may add in another order at another shape. Padding keeps the shapes few, so that the
# same request beside other prompts meets the same shape and gives the same tokens.
PROMPT_MULTIPLE = 32
SLOTS_MULTIPLE = 64


class Engine:
    """Generates with one model. Hold one per thread: a stream owns the model while it runs."""

    def __init__(
        self,
        model: GPT,
        tokenizer: Tokenizer,
        *,
        tool: Tool = calculate,
        weights: Weights = "native",
        is_deterministic: bool = False,
        max_rows: int = 8,
    ) -> None:
        if model.config.vocab_size != tokenizer.vocab_size:
            raise UsageError(
                f"the model has {model.config.vocab_size} tokens and the tokenizer "
                f"{tokenizer.vocab_size}; use the tokenizer that the model was trained with"
            )
        self.model = model
        self.tokenizer = tokenizer
        self.tool = tool
        self.weights = weights
        self.is_deterministic = is_deterministic
        self.max_rows = max_rows

    @property
    def max_positions(self) -> int:
        """Positions a conversation may have, prompt and answer together.

        The rotary tables reach to ten times the training length; quality beyond one training
        length is not known.
        """
        return self.model.cos.size(0)

    def stream(self, requests: Sequence[Request]) -> Iterator[Token]:
        """Yield every new token of every request, a step at a time, rows in order.

        A row ends with assistant_end, bos (both yielded) or its max_new_tokens.

        Raises:
            UsageError: a request does not fit the model.
        """
        for request in requests:
            self.check(request)
        if not requests:
            return
        device = self.model.cos.device
        rows = [
            Row(request, index, self.tokenizer, self.tool) for index, request in enumerate(requests)
        ]
        sampler = Sampler(requests, device)
        cache, logits_BV = self._prefill(requests, device)
        step = 0
        while True:
            # The one transfer of a step; it also waits for the device.
            picked = sampler.pick(logits_BV, step).tolist()
            is_new = [row.finish is None for row in rows]
            for index, row in enumerate(rows):
                if is_new[index]:
                    yield row.take(picked[index])
            is_open = [row.finish is None for row in rows]
            if not any(is_open):
                return
            logits_BV = self._step(cache, [row.last for row in rows], is_open, device)
            step += 1

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Return the whole answer to every request, in their order."""
        tokens: list[list[Token]] = [[] for _ in requests]
        for token in self.stream(requests):
            tokens[token.row].append(token)
        return [_completion(row) for row in tokens]

    @torch.inference_mode()
    def _prefill(self, requests: Sequence[Request], device: torch.device) -> tuple[KVCache, Tensor]:
        """Return a cache that holds the prompts, and the logits after each, (B, V)."""
        lengths = [len(request.prompt_ids) for request in requests]
        most = max(len(request.prompt_ids) + request.max_new_tokens for request in requests)
        num_slots = min(_round_up(most, SLOTS_MULTIPLE), self.max_positions)
        width = min(_round_up(max(lengths), PROMPT_MULTIPLE), num_slots)
        cache = KVCache(
            self.model.config,
            num_rows=len(requests),
            num_slots=num_slots,
            device=device,
            dtype=self.model.dtype,
        )
        padded = [
            [*request.prompt_ids, *([self.tokenizer.bos] * (width - length))]
            for request, length in zip(requests, lengths, strict=True)
        ]
        idx_BT = torch.tensor(padded, device=device)
        return cache, self.model.decode(idx_BT, cache, torch.tensor(lengths, device=device))

    @torch.inference_mode()
    def _step(
        self, cache: KVCache, ids: list[int], is_open: list[bool], device: torch.device
    ) -> Tensor:
        """Return the logits after one more token per open row, (B, V)."""
        # Ended rows keep their place, so that the shape stays, and count nothing as seen.
        idx_B1 = torch.tensor(ids, device=device)[:, None]
        return self.model.decode(idx_B1, cache, torch.tensor(is_open, device=device).long())

    def check(self, request: Request) -> None:
        """Raise UsageError for a request that does not fit the model."""
        needed = len(request.prompt_ids) + request.max_new_tokens
        if needed > self.max_positions:
            raise UsageError(
                f"a prompt of {len(request.prompt_ids)} tokens and {request.max_new_tokens} new "
                f"ones need {needed} positions, and this model has {self.max_positions} (10 x its "
                "training length); shorten the conversation or ask for fewer tokens"
            )
        if min(request.prompt_ids) < 0 or max(request.prompt_ids) >= self.tokenizer.vocab_size:
            raise UsageError(
                f"the prompt has ids outside 0..{self.tokenizer.vocab_size - 1}; "
                "encode it with the model's own tokenizer"
            )


def _completion(tokens: Sequence[Token]) -> Completion:
    finish = tokens[-1].finish
    assert finish is not None
    kept = tokens[:-1] if finish == "stop" else tokens
    return Completion(
        ids=tuple(token.id for token in kept),
        is_forced=tuple(token.is_forced for token in kept),
        parts=join_parts(piece for token in tokens for piece in token.pieces),
        finish=finish,
        probes=tuple(token.probe for token in kept),
    )


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple

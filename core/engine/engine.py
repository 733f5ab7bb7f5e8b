"""Batched generation: one prefill, then one token per row and step over a static cache.

Shapes: B rows, T prompt positions, V vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from core.engine.answer import AnswerReader
from core.engine.cache import KVCache
from core.engine.request import Completion, Finish, Request, Token
from core.engine.sampling import Sampler
from core.engine.tools import calculate
from core.model import GPT
from core.tokenizer import Tokenizer
from runs.errors import UsageError

Tool = Callable[[str], str | None]

# Kernels may add in another order at another shape. Padding keeps the shapes few, so that the
# same request beside other prompts meets the same shape and gives the same tokens.
PROMPT_MULTIPLE = 32
SLOTS_MULTIPLE = 64


class Engine:
    """Generates with one model. Hold one per thread: a stream owns the model while it runs."""

    def __init__(self, model: GPT, tokenizer: Tokenizer, *, tool: Tool = calculate) -> None:
        if model.config.vocab_size != tokenizer.vocab_size:
            raise UsageError(
                f"the model has {model.config.vocab_size} tokens and the tokenizer "
                f"{tokenizer.vocab_size}; use the tokenizer that the model was trained with"
            )
        self.model = model
        self.tokenizer = tokenizer
        self._tool = tool

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
            self._check(request)
        if not requests:
            return
        device = self.model.cos.device
        rows = [_Row(request, self.tokenizer, self._tool) for request in requests]
        sampler = Sampler(requests, device)
        cache, logits_BV = self._prefill(requests, device)
        step = 0
        while True:
            # The one transfer of a step; it also waits for the device.
            picked = sampler.pick(logits_BV, step).tolist()
            is_new = [row.finish is None for row in rows]
            for index, row in enumerate(rows):
                if is_new[index]:
                    is_forced = row.take(picked[index])
                    yield Token(row=index, id=row.last, is_forced=is_forced, finish=row.finish)
            is_open = [row.finish is None for row in rows]
            if not any(is_open):
                return
            logits_BV = self._step(cache, [row.last for row in rows], is_open, device)
            step += 1

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Return the whole answer to every request, in their order."""
        readers = [AnswerReader(self.tokenizer) for _ in requests]
        tokens: list[list[Token]] = [[] for _ in requests]
        finishes: list[Finish] = ["length"] * len(requests)
        for token in self.stream(requests):
            if token.finish is not None:
                finishes[token.row] = token.finish
            if token.finish != "stop":
                tokens[token.row].append(token)
                readers[token.row].push(token.id)
        for reader in readers:
            reader.close()
        return [
            Completion(
                ids=tuple(token.id for token in row),
                is_forced=tuple(token.is_forced for token in row),
                parts=reader.parts,
                finish=finish,
            )
            for row, reader, finish in zip(tokens, readers, finishes, strict=True)
        ]

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

    def _check(self, request: Request) -> None:
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


class _Row:
    """Where one answer stands: its last token, forced tokens ahead, code being collected."""

    def __init__(self, request: Request, tokenizer: Tokenizer, tool: Tool) -> None:
        special = tokenizer.special
        self.last = request.prompt_ids[-1]
        self.finish: Finish | None = None
        self._num_left = request.max_new_tokens
        self._tokenizer = tokenizer
        self._tool = tool
        self._stops = (special("assistant_end"), tokenizer.bos)
        self._python_start, self._python_end = special("python_start"), special("python_end")
        self._code: list[int] | None = None
        self._forced: deque[int] = deque()

    def take(self, sampled: int) -> bool:
        """Move on by one token; return whether it was forced, the sampled one then being lost."""
        is_forced = bool(self._forced)
        self.last = self._forced.popleft() if is_forced else sampled
        self._num_left -= 1
        if not is_forced:
            self._follow_tool(sampled)
        if not is_forced and sampled in self._stops:
            self.finish = "stop"
        elif self._num_left == 0:
            self.finish = "length"
        return is_forced

    def _follow_tool(self, token_id: int) -> None:
        if token_id == self._python_start:
            self._code = []
        elif self._code is not None and token_id != self._python_end:
            self._code.append(token_id)
        elif self._code is not None:
            result = self._tool(self._tokenizer.decode(self._code))
            self._code = None
            if result is not None:
                special, ids = self._tokenizer.special, self._tokenizer.encode(result)
                self._forced.extend([special("output_start"), *ids, special("output_end")])


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple

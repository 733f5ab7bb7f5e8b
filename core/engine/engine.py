"""Generation with one model: its prepared weights, its cache rows, and whole answers."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import cached_property

from core.engine.answer import join_parts
from core.engine.decoder import CachedDecoder, Decoder
from core.engine.request import Completion, Request, Token
from core.engine.row import Tool
from core.engine.scheduler import Scheduler
from core.engine.slots import Slots
from core.engine.tools import calculate
from core.engine.weights import WeightType, prepare
from core.model import GPT
from core.tokenizer import Tokenizer
from runs.errors import UsageError


class Engine:
    """Generates with one model. Hold one per thread.

    The weights are copied when the first token is asked for; later changes of the model do not
    show. A conversation whose beginning is still in a row of the cache is read from there on.

    Args:
        weights: the type to compute with; native is the model's own. int8 keeps the head, and
            the other matrices of wide models, in 8 bits.
        is_deterministic: decode in one batch shape, attend row by row and reuse no prefix, so
            that a request gets the same tokens alone and among any others, bit for bit.
        max_rows: requests that run at a time; more of them wait.
        decoder: another way to compute logits, such as a script.
    """

    def __init__(
        self,
        model: GPT,
        tokenizer: Tokenizer,
        *,
        tool: Tool = calculate,
        weights: WeightType = "native",
        is_deterministic: bool = False,
        max_rows: int = 8,
        decoder: Decoder | None = None,
    ) -> None:
        if model.config.vocab_size != tokenizer.vocab_size:
            raise UsageError(
                f"the model has {model.config.vocab_size} tokens and the tokenizer "
                f"{tokenizer.vocab_size}; use the tokenizer that the model was trained with"
            )
        if max_rows < 1:
            raise UsageError(f"max_rows must be above 0, not {max_rows}")
        self.model = model
        self.tokenizer = tokenizer
        self.tool = tool
        self.weights = weights
        self.is_deterministic = is_deterministic
        self.max_rows = max_rows
        self.slots = Slots(max_rows, has_reuse=not is_deterministic)
        self._given_decoder = decoder

    @cached_property
    def decoder(self) -> Decoder:
        """What computes logits; made when it is first needed."""
        if self._given_decoder is not None:
            return self._given_decoder
        return CachedDecoder(
            prepare(self.model, self.weights),
            num_rows=self.max_rows,
            is_row_exact=self.is_deterministic,
        )

    @property
    def max_positions(self) -> int:
        """Positions a conversation may have, prompt and answer together.

        The rotary tables reach to ten times the training length; quality beyond one training
        length is not known.
        """
        return self.model.cos.size(0)

    def stream(self, requests: Sequence[Request]) -> Generator[Token]:
        """Yield every new token of every request, a step at a time, rows in order.

        A row ends with assistant_end, bos or a stop string (the token is yielded) or its
        max_new_tokens. Closing the iterator frees the rows.

        Raises:
            UsageError: a request does not fit the model.
        """
        for request in requests:
            self.check(request)
        scheduler = Scheduler(self)
        try:
            for request in requests:
                scheduler.submit(request)
            while not scheduler.is_idle:
                yield from scheduler.step()
        finally:
            scheduler.close()

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Return the whole answer to every request, in their order."""
        tokens: list[list[Token]] = [[] for _ in requests]
        for token in self.stream(requests):
            tokens[token.row].append(token)
        return [_completion(row) for row in tokens]

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

"""Where one answer stands: last token, forced tokens ahead, code being collected. Torch-free."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from core.engine.answer import AnswerReader
from core.engine.request import Finish, Probe, Request, Token
from core.tokenizer import Tokenizer

Tool = Callable[[str], str | None]


class Row:
    """One answer in the making; `ticket` names it towards the caller."""

    def __init__(self, request: Request, ticket: int, tokenizer: Tokenizer, tool: Tool) -> None:
        special = tokenizer.special
        self.request = request
        self.ticket = ticket
        self.last = request.prompt_ids[-1]
        self.history = list(request.prompt_ids)
        self.finish: Finish | None = None
        self._tokenizer = tokenizer
        self._tool = tool
        self._reader = AnswerReader(tokenizer, request.stop)
        self._stops = (special("assistant_end"), tokenizer.bos)
        self._python_start, self._python_end = special("python_start"), special("python_end")
        self._code: list[int] | None = None
        self._forced: deque[int] = deque()

    @property
    def num_new(self) -> int:
        """Tokens of the answer so far."""
        return len(self.history) - len(self.request.prompt_ids)

    @property
    def forced(self) -> int | None:
        """The token that must come next whatever is sampled, or None."""
        return self._forced[0] if self._forced else None

    def take(self, sampled: int, probe: Probe | None = None) -> Token:
        """Move on by one token; a forced one goes before the sampled, which is then lost."""
        is_forced = bool(self._forced)
        self.last = self._forced.popleft() if is_forced else sampled
        self.history.append(self.last)
        if not is_forced:
            self._follow_tool(sampled)
        pieces = self._reader.push(self.last)
        if self._reader.is_stopped or (not is_forced and sampled in self._stops):
            self.finish = "stop"
        elif self.num_new == self.request.max_new_tokens:
            self.finish = "length"
        if self.finish is not None:
            pieces += self._reader.close()
        return Token(
            row=self.ticket,
            id=self.last,
            is_forced=is_forced,
            finish=self.finish,
            pieces=pieces,
            probe=probe,
        )

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

"""What clients send: OpenAI's fields, and the lab's own. Anything else is refused by name.

Fields of OpenAI's that ask for something this server cannot do are accepted with the value that
asks for nothing, and refused with any other: a client is never left to think that they worked.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.serve import limits
from core.serve.errors import bad_request

ModelName = Annotated[str, Field(max_length=limits.MAX_NAME_CHARS)]
Count = Annotated[int, Field(ge=1, le=limits.MAX_NEW_TOKENS)]


class Body(BaseModel):
    """Types are taken as they are written: "1" is no number."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class ContentPart(Body):
    """A stretch of a message; tool parts, as `lab.parts` gives them, are the assistant's alone."""

    type: Literal["text", "python", "python_output"]
    text: str


class ChatMessage(Body):
    """One turn; fields that clients send back from an earlier answer are passed over."""

    model_config = ConfigDict(strict=True, extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[ContentPart] | None = None

    @property
    def num_chars(self) -> int:
        """The characters of the content."""
        if isinstance(self.content, list):
            return sum(len(part.text) for part in self.content)
        return len(self.content or "")

    def as_turn(self) -> dict[str, Any]:
        """Return the message as core.chat_format takes it."""
        role = "system" if self.role == "developer" else self.role
        if isinstance(self.content, list):
            return {"role": role, "content": [part.model_dump() for part in self.content]}
        return {"role": role, "content": self.content or ""}


class StreamOptions(Body):
    """OpenAI's stream_options."""

    include_usage: bool = False
    include_obfuscation: bool = False


class SamplingBody(Body):
    """What chat and completion calls share."""

    model: ModelName | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=limits.MAX_TEMPERATURE)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=limits.MAX_TOP_K)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    n: Annotated[int, Field(ge=1, le=limits.MAX_CHOICES)] | None = None
    stop: str | list[str] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    lab: bool = False
    # Names a client's end user; nothing is kept of it.
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None

    @property
    def stops(self) -> list[str]:
        """The stop strings, checked."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        limits.check_stops(stops)
        return stops

    @property
    def new_tokens(self) -> int | None:
        """The most tokens to generate; None leaves it to the worker."""
        return self.max_tokens

    def check_neutral(self) -> None:
        """Refuse what this server cannot do."""
        for name in self.unsupported:
            if getattr(self, name):
                raise bad_request(f"{name} is not supported by this server; leave it out", name)

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Fields that may hold no more than nothing."""
        return ("frequency_penalty", "presence_penalty", "logit_bias", "store")


class ChatBody(SamplingBody):
    """A call of /v1/chat/completions or of the classic /chat/completions."""

    messages: list[ChatMessage]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=limits.MAX_TOP_LOGPROBS)] | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None
    # What becomes of a conversation that is too long: auto leaves its oldest turns unread.
    truncation: Literal["auto", "disabled"] | None = None
    response_format: dict[str, Any] | None = None

    @property
    def new_tokens(self) -> int | None:
        """The most tokens to generate, under either of OpenAI's names."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def is_cut(self) -> bool:
        """Whether the oldest turns may be left out when not all fit."""
        return self.truncation == "auto"

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Fields that may hold no more than nothing."""
        return (*super().unsupported, "tools", "functions")

    def check_neutral(self) -> None:
        """Refuse what this server cannot do."""
        super().check_neutral()
        if self.response_format is not None and self.response_format.get("type") != "text":
            raise bad_request("response_format must be text", "response_format")
        if self.top_logprobs and not self.logprobs:
            raise bad_request("top_logprobs needs logprobs: true", "top_logprobs")

    def turns(self) -> list[dict[str, Any]]:
        """Return the conversation, checked against the limits."""
        limits.check_messages(
            [message.num_chars for message in self.messages],
            # A model may have had nothing to say; its answer comes back with the next call.
            [message.role == "assistant" for message in self.messages],
            is_cut=self.is_cut,
        )
        return [message.as_turn() for message in self.messages]


class CompletionBody(SamplingBody):
    """A call of /v1/completions; a prompt is text or token ids, one or several."""

    prompt: str | list[str] | list[int] | list[list[int]]
    logprobs: Annotated[int, Field(ge=0, le=limits.MAX_TOP_LOGPROBS)] | None = None
    echo: bool | None = None
    best_of: int | None = None
    suffix: str | None = None

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Fields that may hold no more than nothing."""
        return (*super().unsupported, "echo", "suffix")

    def check_neutral(self) -> None:
        """Refuse what this server cannot do."""
        super().check_neutral()
        if self.best_of is not None and self.best_of != (self.n or 1):
            raise bad_request("best_of other than n is not supported by this server", "best_of")

    def prompts(self) -> list[str] | list[list[int]]:
        """Return the prompts, checked against the limits."""
        if isinstance(self.prompt, str):
            limits.check_total(len(self.prompt), "prompt")
            return [self.prompt]
        if not self.prompt:
            raise bad_request("prompt is an empty list; give at least one", "prompt")
        prompts: list[str] = [item for item in self.prompt if isinstance(item, str)]
        if prompts:
            limits.check_total(sum(map(len, prompts)), "prompt")
            return prompts
        lists = [item for item in self.prompt if isinstance(item, list)]
        lists = lists or [[item for item in self.prompt if isinstance(item, int)]]
        if any(not ids for ids in lists):
            raise bad_request("a prompt of token ids is empty", "prompt")
        return lists


class TokenizeBody(Body):
    """A call of /tokenize: a text, or a conversation as a model would see it."""

    model: ModelName | None = None
    text: str | None = None
    messages: list[ChatMessage] | None = None


class DetokenizeBody(Body):
    """A call of /detokenize."""

    model: ModelName | None = None
    ids: Annotated[list[int], Field(max_length=limits.MAX_IDS)]

"""Models that talk to themselves or to each other, many conversations at a time.

Each side sees itself as the assistant and the other as the user: a is asked the topic, b hears a's
first answer as the user's first message. A model reads its own turns as the tokens that it wrote,
and the other's as text. Every model runs one deterministic engine, so what is said in a
conversation depends on its own setting, topic and seed, and on the batch size.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.engine.engine import Engine
from core.engine.request import Request, Token
from core.engine.scheduler import Scheduler
from core.experiments.reading import DECIMALS, embed_text, surprisals
from core.experiments.selfchat.grid import end_after, speaker_of, turn_seed
from core.experiments.selfchat.transcript import (
    Conversation,
    ConversationEnd,
    Setting,
    Side,
    TokenTrace,
    Turn,
)
from core.settings.experiments import SelfchatConfig
from core.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """One side of a conversation; max_context: positions that it may fill."""

    engine: Engine
    system: str | None
    max_context: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A turn that was just taken, None where none would fit; `conversation` includes it."""

    conversation: Conversation
    turn: Turn | None


class SelfChat:
    """The conversations of two speakers; with one engine on both sides a model talks to itself.

    Args:
        share: tokens that one conversation may have; None: any number.
    """

    def __init__(
        self,
        sides: Mapping[Side, Speaker],
        settings: Sequence[Setting],
        config: SelfchatConfig,
        *,
        share: int | None,
    ) -> None:
        self._sides = sides
        self._settings = {setting.index: setting for setting in settings}
        self._config = config
        self._share = share
        # One line per engine: the sides of a model that talks to itself share theirs.
        lines = {id(speaker.engine): _Line(speaker.engine) for speaker in sides.values()}
        self._lines = {side: lines[id(speaker.engine)] for side, speaker in sides.items()}

    @property
    def _is_alone(self) -> bool:
        return self._lines["a"] is self._lines["b"]

    def talk(
        self, conversations: Sequence[Conversation], *, stop: Callable[[], bool]
    ) -> Iterator[Said]:
        """Continue conversations to their ends, yielding each turn; what stop cuts off is lost.

        Conversations that have ended already are passed over.
        """
        waiting = deque(one for one in conversations if one.end is None)
        lines = list(dict.fromkeys(self._lines.values()))
        room = sum(line.engine.max_rows for line in lines)
        try:
            while not stop():
                while waiting and sum(map(len, lines)) < room:
                    begun = self._go_on(waiting.popleft())
                    if begun.end is not None:
                        yield Said(conversation=begun, turn=None)
                if not any(map(len, lines)):
                    return
                for line in lines:
                    for done in line.step():
                        yield self._take(done)
        finally:
            for line in lines:
                line.scheduler.close()

    def _go_on(self, conversation: Conversation) -> Conversation:
        """Ask for the next turn, and return the conversation, with its end where it has one."""
        end = end_after(conversation.turns, self._config, self._share)
        if end is not None:
            return replace(conversation, end=end)
        index = len(conversation.turns)
        side = speaker_of(index)
        speaker = self._sides[side]
        prompt_ids = prompt(speaker.engine.tokenizer, conversation, side, speaker.system)
        if len(prompt_ids) + self._config.max_new_tokens > speaker.max_context:
            return replace(conversation, end="context")
        setting = self._settings[conversation.setting]
        request = Request(
            prompt_ids=prompt_ids,
            max_new_tokens=self._config.max_new_tokens,
            temperature=setting.temperature,
            top_k=setting.top_k,
            top_p=setting.top_p,
            min_p=setting.min_p,
            repetition_penalty=setting.repetition_penalty,
            seed=turn_seed(self._config.seed, conversation, index),
            num_alternatives=self._config.num_alternatives,
        )
        self._lines[side].submit(request, conversation)
        return conversation

    def _take(self, done: _Open) -> Said:
        conversation = done.conversation
        index = len(conversation.turns)
        side = speaker_of(index)
        finish = done.tokens[-1].finish
        assert finish is not None
        text = "".join(
            piece.text for token in done.tokens for piece in token.pieces if piece.type == "text"
        )
        turn = Turn(
            conversation=conversation.number,
            index=index,
            side=side,
            text=text,
            tokens=self._trace(done, side),
            finish=finish,
            wall_s=round(time.perf_counter() - done.began_s, 3),
            embedding=self.embed(text),
        )
        grown = replace(conversation, turns=(*conversation.turns, turn))
        return Said(conversation=self._go_on(grown), turn=turn)

    def embed(self, text: str) -> tuple[float, ...] | None:
        """Return the vector of a text under side a's model, or None without a token."""
        engine = self._sides["a"].engine
        return embed_text(engine.model, engine.tokenizer, text)

    def _trace(self, done: _Open, side: Side) -> TokenTrace:
        # The token that ended the turn is not part of it.
        kept = done.tokens[:-1] if done.tokens[-1].finish == "stop" else done.tokens
        probes = [token.probe for token in kept if token.probe is not None]
        assert len(probes) == len(kept)
        ids = tuple(token.id for token in kept)
        others = None
        if not self._is_alone:
            other = self._sides["a" if side == "b" else "b"].engine.model
            others = surprisals(other, done.request.prompt_ids, ids) if ids else ()
        return TokenTrace(
            ids=ids,
            entropy_nats=tuple(round(one.entropy_nats, DECIMALS) for one in probes),
            surprisal_nats=tuple(round(one.surprisal_nats, DECIMALS) for one in probes),
            rank=tuple(one.rank for one in probes),
            is_forced=tuple(token.is_forced for token in kept),
            top_ids=tuple(tuple(id_ for id_, _ in one.top) for one in probes),
            top_probs=tuple(tuple(round(p, DECIMALS) for _, p in one.top) for one in probes),
            other_surprisal_nats=others,
        )


@dataclass(slots=True, kw_only=True)
class _Open:
    """A turn that is being taken."""

    conversation: Conversation
    request: Request
    began_s: float
    tokens: list[Token] = field(default_factory=list)


class _Line:
    """One engine and the turns that it is taking."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.scheduler = Scheduler(engine)
        self._open: dict[int, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def submit(self, request: Request, conversation: Conversation) -> None:
        """Queue a turn."""
        ticket = self.scheduler.submit(request)
        self._open[ticket] = _Open(
            conversation=conversation, request=request, began_s=time.perf_counter()
        )

    def step(self) -> list[_Open]:
        """Let every running turn grow by a token, and return those that ended."""
        ended = []
        for token in [] if self.scheduler.is_idle else self.scheduler.step():
            self._open[token.row].tokens.append(token)
            if token.finish is not None:
                ended.append(self._open.pop(token.row))
        return ended


def prompt(
    tokenizer: Tokenizer, conversation: Conversation, side: Side, system: str | None
) -> list[int]:
    """Return the conversation as one side sees it, up to the marker that lets it speak."""
    special = tokenizer.special
    ids = [tokenizer.bos]
    lead = f"{system}\n\n" if system else ""
    if side == "a":
        heard = [special("user_start"), *tokenizer.encode(lead + conversation.topic)]
        ids += [*heard, special("user_end")]
        lead = ""
    for turn in conversation.turns:
        if turn.side == side:
            ids += [special("assistant_start"), *turn.tokens.ids, special("assistant_end")]
        else:
            ids += [special("user_start"), *tokenizer.encode(lead + turn.text)]
            ids.append(special("user_end"))
            lead = ""
    return [*ids, special("assistant_start")]


def ended(conversation: Conversation, end: ConversationEnd) -> Conversation:
    """Return a conversation with an end, where it has none of its own."""
    return conversation if conversation.end is not None else replace(conversation, end=end)

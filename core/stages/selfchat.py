"""The `selfchat` stage: conversations of models with themselves or with each other, measured.

Every turn is written when it ends, so a resumed attempt goes on from the last one; the sorted
transcript is byte for byte that of an undisturbed run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import torch

from core import checkpoint
from core.device import inference_dtype, pick_device
from core.engine.engine import Engine
from core.experiments.selfchat.archive import TURNS_FILE
from core.experiments.selfchat.cost import check_context
from core.experiments.selfchat.grid import make_conversations, make_settings, token_share
from core.experiments.selfchat.journal import Line, TurnJournal
from core.experiments.selfchat.script import Cast, load_script
from core.experiments.selfchat.talk import Said, SelfChat, Speaker, ended
from core.experiments.selfchat.transcript import Conversation, Experiment, Setting, Side, with_turns
from core.settings.experiments import SelfchatConfig
from core.stages.context import CheckpointRef, StageContext
from core.stages.selfchat_outcome import announce, write_outcome
from core.tokenizer import Tokenizer
from runs import events
from runs.errors import UsageError
from runs.events import End, Event, Note, Progress

PROGRESS_EVERY_S = 1.0
TEXT_CHARS = 200
# Steps of models this narrow are shorter than the wake-up of a second thread: at width 256, two
# threads took 1.5 to 1.8 times as long as one (measured on 2 cores).
ONE_THREAD_WIDTH = 384


def run(
    config: SelfchatConfig,
    ctx: StageContext,
    *,
    stop: Callable[[], bool],
    resume: CheckpointRef | None,
) -> Iterator[Event]:
    """Talk, turn by turn, then measure; a resumed attempt continues after the last turn."""
    if ctx.rank != 0:
        return
    script = load_script(ctx.input("script").path)
    settings = make_settings(config, script.casts)
    conversations = make_conversations(config, settings, script.topics)
    with TurnJournal(ctx.artifacts_dir / TURNS_FILE) as journal:
        conversations = with_turns(conversations, journal.turns)
        yield announce(ctx, Experiment(settings=settings, conversations=conversations))
        if journal.turns:
            yield Note(message=f"goes on after {len(journal.turns)} turns")
        room = _Room(config, ctx, journal, settings, conversations, stop)
        for cast in script.casts:
            yield from room.play(cast)
    if stop():
        yield End(reason="stopped")
        return
    yield Progress(done=room.done, total=room.total, unit="turns", label="measuring")
    outcome = Experiment(settings=settings, conversations=tuple(room.conversations.values()))
    yield from write_outcome(ctx, outcome)


class _Room:
    """The conversations of one self-chat, and how far they are."""

    def __init__(
        self,
        config: SelfchatConfig,
        ctx: StageContext,
        journal: TurnJournal,
        settings: Sequence[Setting],
        conversations: Sequence[Conversation],
        stop: Callable[[], bool],
    ) -> None:
        self._config = config
        self._ctx = ctx
        self._journal = journal
        self._settings = {setting.index: setting for setting in settings}
        self._stop = stop
        self._num_threads = torch.get_num_threads()
        self._began_s = time.monotonic() - journal.elapsed_s
        self._told_s = -PROGRESS_EVERY_S
        self.conversations = {one.number: one for one in conversations}
        self.total = config.turns * len(conversations)

    @property
    def done(self) -> int:
        """Turns that were taken, or that will not be because their conversation has ended."""
        turns = self._config.turns
        return sum(turns if one.end else len(one.turns) for one in self.conversations.values())

    def play(self, cast: Cast) -> Iterator[Event]:
        """Let one cast have its conversations, as far as time allows."""
        if self._stop():
            return
        own = [setting for setting in self._settings.values() if _is_of(setting, cast)]
        indexes = {setting.index for setting in own}
        mine = [one for one in self.conversations.values() if one.setting in indexes]
        chat = SelfChat(
            self._speakers(cast),
            own,
            self._config,
            share=token_share(self._config, len(self.conversations)),
        )
        for said in chat.talk(mine, stop=self._must_end):
            self.conversations[said.conversation.number] = said.conversation
            yield from self._tell(said)
        if self._stop():
            return
        vectors = {one.topic: chat.embed(one.topic) for one in mine}
        for one in mine:
            # What is not at its end now was cut off by the clock.
            known = ended(self.conversations[one.number], "budget")
            self.conversations[one.number] = replace(known, topic_embedding=vectors[one.topic])

    def _must_end(self) -> bool:
        minutes = self._config.max_minutes
        return self._stop() or (minutes is not None and self._elapsed_s() >= 60 * minutes)

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    def _tell(self, said: Said) -> Iterator[Event]:
        if said.turn is not None:
            line = self._journal.append(said.turn, elapsed_s=self._elapsed_s())
            if said.conversation.end is not None:
                self._journal.sync()
            setting = self._settings[said.conversation.setting]
            yield turn_event(said, setting, self._ctx.relative(self._journal.path), line)
        if self._elapsed_s() - self._told_s >= PROGRESS_EVERY_S:
            self._told_s = self._elapsed_s()
            yield Progress(done=self.done, total=self.total, unit="turns", label="talking")

    def _speakers(self, cast: Cast) -> Mapping[Side, Speaker]:
        config = self._config
        engine_a = self._engine(cast.key_a)
        engine_b = engine_a if cast.is_alone else self._engine(cast.key_b)
        if engine_a.tokenizer.hash != engine_b.tokenizer.hash:
            raise UsageError(
                f"{cast.name_a} and {cast.name_b} have different tokenizers; "
                "models talk to each other when they share one"
            )
        is_narrow = all(
            engine.model.config.n_embd <= ONE_THREAD_WIDTH for engine in (engine_a, engine_b)
        )
        torch.set_num_threads(1 if is_narrow else self._num_threads)
        systems: Mapping[Side, str | None] = {"a": config.system_a, "b": config.system_b}
        engines: Mapping[Side, Engine] = {"a": engine_a, "b": engine_b}
        return {
            side: Speaker(
                engine=engine,
                system=systems[side],
                max_context=config.max_context or engine.model.config.sequence_len,
            )
            for side, engine in engines.items()
        }

    def _engine(self, key: str) -> Engine:
        path = self._ctx.input(f"checkpoint:{key}").path
        tokenizer = Tokenizer.from_file(self._ctx.input(f"tokenizer:{key}").path)
        meta = checkpoint.read_meta(path)
        check_context(self._config, meta.model_config)
        if meta.tokenizer_sha256 != tokenizer.hash:
            raise UsageError(f"checkpoint {path} was trained with another tokenizer; name its own")
        device = pick_device(self._ctx.device)
        dtype = inference_dtype(self._config.dtype, device)
        model = checkpoint.load_model(path, device=device, dtype=dtype)
        return Engine(model, tokenizer, is_deterministic=True, max_rows=self._config.batch_size)


def turn_event(said: Said, setting: Setting, path: str, line: Line) -> events.Turn:
    """Return the event of a turn: its figures, the start of its text, and where all of it lies."""
    turn = said.turn
    assert turn is not None
    tokens = turn.tokens
    chosen = [index for index, forced in enumerate(tokens.is_forced) if not forced]
    return events.Turn(
        conversation=turn.conversation,
        index=turn.index,
        side=turn.side,
        setting=setting.index,
        label=setting.label,
        tokens=len(tokens.ids),
        entropy_nats=fmean(tokens.entropy_nats[i] for i in chosen) if chosen else None,
        surprisal_nats=fmean(tokens.surprisal_nats[i] for i in chosen) if chosen else None,
        text=turn.text[:TEXT_CHARS],
        finish=turn.finish,
        path=path,
        offset=line.offset,
        bytes=line.num_bytes,
        end=said.conversation.end,
    )


def _is_of(setting: Setting, cast: Cast) -> bool:
    return (setting.model_a, setting.model_b) == (cast.name_a, cast.name_b)

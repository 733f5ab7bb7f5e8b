"""What a line that begins with a slash does. The table is what /help and Tab know."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labcli import diagnostics
from labcli.chat.conversation import Conversation
from labcli.chat.keeping import copy, pick_turn, save
from labcli.chat.stats import stats_lines
from labcli.terminal import cut, glyphs_of, printable
from runs.errors import UsageError, nearest

if TYPE_CHECKING:
    from labcli.chat.loop import Talk

_LOOKS_LIKE_COMMAND = re.compile(r"/\w*(?=\s|$)")
OFF = "off"
# By command: the setting that it changes, and its kind of number.
SETTINGS: Mapping[str, tuple[str, Callable[[str], float]]] = {
    "temperature": ("temperature", float),
    "topk": ("top_k", int),
    "topp": ("top_p", float),
    "minp": ("min_p", float),
    "penalty": ("repetition_penalty", float),
    "max": ("max_new_tokens", int),
}
MAX_SHOWN = 56


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command: the argument it takes, what it does in a few words, and its doing."""

    argument: str
    summary: str
    act: Callable[[Talk, str], None]


def is_command(text: str) -> bool:
    """Return whether a message is meant for the program: "/word", not "/usr/bin" or "//word"."""
    return bool(_LOOKS_LIKE_COMMAND.match(text))


def run_command(talk: Talk, text: str) -> None:
    """Carry out a command.

    Raises:
        LabError: it is unknown, or cannot be carried out.
    """
    word, _, argument = text.partition(" ")
    name = word[1:]
    command = COMMANDS.get(ALIASES.get(name, name))
    if command is None:
        raise UsageError(f"no command {word!r}{nearest(word, COMMAND_WORDS)}; /help lists all")
    command.act(talk, argument.strip())


def help_lines() -> list[str]:
    """Return the commands with what they do, and the keys."""
    usages = {f"/{name} {command.argument}".rstrip(): command for name, command in COMMANDS.items()}
    width = max(map(len, usages))
    lines = [f"  {usage.ljust(width)}  {command.summary}" for usage, command in usages.items()]
    return [
        *lines,
        "  Ctrl-C stops an answer; twice at the prompt, like Ctrl-D, it leaves.",
        "  A backslash at the end of a line goes on below; //text says /text.",
    ]


def _use_model(talk: Talk, argument: str) -> None:
    if not argument:
        diagnostics.say(f"model: {talk.conversation.model} (labcli runs list shows others)")
        return
    talk.switch(argument)


def _set(command: str) -> Callable[[Talk, str], None]:
    """Return what a command does that changes a setting, or tells it when no value is given."""
    word, (name, convert) = f"/{command}", SETTINGS[command]

    def act(talk: Talk, argument: str) -> None:
        conversation = talk.conversation
        if argument:
            may_be_off = name in ("top_k", "top_p", "min_p")
            is_off = may_be_off and argument == OFF
            value = None if is_off else _number(argument, word, convert)
            try:
                conversation.settings = conversation.settings.changed(**{name: value})
            except UsageError as error:
                raise UsageError(f"{word} {argument}: {error}") from None
        diagnostics.say(conversation.settings.summary())

    return act


def _number(text: str, word: str, convert: Callable[[str], float]) -> float:
    try:
        return convert(text)
    except ValueError:
        kind = "a whole number" if convert is int else "a number"
        raise UsageError(f"{word} takes {kind}, not {text!r}") from None


def _set_seed(talk: Talk, argument: str) -> None:
    if argument:
        seed = int(_number(argument, "/seed", int))
        if not 0 <= seed <= 2**62:
            raise UsageError(f"/seed takes a number from 0 to 2**62, not {argument}")
        talk.conversation.seed(seed)
    diagnostics.say(talk.conversation.settings.summary())


def _set_system(talk: Talk, argument: str) -> None:
    conversation = talk.conversation
    if argument:
        conversation.system = None if argument == OFF else argument
    diagnostics.say(f"system: {conversation.system or 'none'}")


def _stats(talk: Talk, argument: str) -> None:
    for line in stats_lines(talk.conversation, talk.answers):
        diagnostics.say(line)


def _copy(talk: Talk, argument: str) -> None:
    diagnostics.say(copy(pick_turn(talk.conversation.turns).answer.text, talk.home))


def _save(talk: Talk, argument: str) -> None:
    is_forced = argument.startswith("--force ")
    name = argument.removeprefix("--force ").strip()
    if not name:
        raise UsageError("/save needs a file: /save talk.md or /save talk.json")
    path = Path(name).expanduser()
    save(talk.conversation, path, is_forced=is_forced)
    num = len(talk.conversation.turns)
    diagnostics.say(f"saved {num} {'turn' if num == 1 else 'turns'} to {path}")


def _clear(talk: Talk, argument: str) -> None:
    talk.conversation.clear()
    talk.forget_notices()
    diagnostics.say("a new conversation")


def _retry(talk: Talk, argument: str) -> None:
    turn = pick_turn(talk.conversation.turns)
    talk.conversation.undo()
    if not talk.answer(turn.text):
        talk.conversation.turns.append(turn)


def _undo(talk: Talk, argument: str) -> None:
    pick_turn(talk.conversation.turns)
    turn = talk.conversation.undo()
    assert turn is not None
    first_line = turn.text.splitlines()[0] if turn.text.strip() else ""
    shown = cut(printable(first_line), MAX_SHOWN, glyphs_of(sys.stderr).ellipsis)
    diagnostics.say(f"forgot the last turn: {shown}")


def _help(talk: Talk, argument: str) -> None:
    for line in help_lines():
        diagnostics.say(line)


def _quit(talk: Talk, argument: str) -> None:
    talk.is_done = True


def _table() -> dict[str, Command]:
    rows: tuple[tuple[str, str, str, Callable[[Talk, str], None]], ...] = (
        ("model", "[REF]", "talk to another model, same conversation", _use_model),
        ("temperature", "[T]", "randomness; 0 is none", _set("temperature")),
        ("topk", "[K|off]", "draw from the K likeliest tokens", _set("topk")),
        ("topp", "[P|off]", "draw from this share of probability", _set("topp")),
        ("minp", "[P|off]", "drop what is this much less likely", _set("minp")),
        (
            "penalty",
            "[X]",
            "repetition penalty; 1 is none",
            _set("penalty"),
        ),
        ("max", "[N]", "end answers after N tokens", _set("max")),
        ("seed", "[N]", "draw as from the start with seed N", _set_seed),
        ("system", "[TEXT|off]", "words before the first question", _set_system),
        ("stats", "", "what each answer took, and all of them", _stats),
        ("copy", "", "copy the last answer", _copy),
        ("save", "[--force] FILE", "write the talk to a .json or .md file", _save),
        ("retry", "", "answer the last question again", _retry),
        ("undo", "", "forget the last question and answer", _undo),
        ("clear", "", "start a new conversation", _clear),
        ("help", "", "show this", _help),
        ("quit", "", "leave", _quit),
    )
    return {
        name: Command(argument=argument, summary=summary, act=act)
        for name, argument, summary, act in rows
    }


COMMANDS = _table()
ALIASES = {"exit": "quit", "": "help", "temp": "temperature"}
COMMAND_WORDS = tuple(f"/{name}" for name in COMMANDS)


def describe(conversation: Conversation) -> str:
    """Return what an interactive talk says first."""
    trained = conversation.engine.model.config.sequence_len
    return (
        f"talking to {conversation.model}, trained on {trained:,} tokens at a time\n"
        "/help lists the commands, Ctrl-D leaves"
    )

"""The slash commands of a talk, in the terminal and in the app: their words and their values.

Pure: what a command does is its screen's to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runs.errors import UsageError, nearest
from tui.answering.sampling import TalkSettings

_LOOKS_LIKE_COMMAND = re.compile(r"/\w*(?=\s|$)")
OFF = "off"
MAX_SEED = 2**62
# By command: the setting that it changes, and its kind of number.
SETTINGS: Mapping[str, tuple[str, Callable[[str], float]]] = {
    "temperature": ("temperature", float),
    "topk": ("top_k", int),
    "topp": ("top_p", float),
    "minp": ("min_p", float),
    "penalty": ("repetition_penalty", float),
    "max": ("max_new_tokens", int),
}
CAN_BE_OFF = ("top_k", "top_p", "min_p")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlashCommand:
    """A command: the argument it takes and what it does in a few words."""

    argument: str
    summary: str


def _command(argument: str, summary: str) -> SlashCommand:
    return SlashCommand(argument=argument, summary=summary)


COMMANDS: Mapping[str, SlashCommand] = {
    "model": _command("[REF]", "talk to another model, same conversation"),
    "temperature": _command("[T]", "randomness; 0 is none"),
    "topk": _command("[K|off]", "draw from the K likeliest tokens"),
    "topp": _command("[P|off]", "draw from this share of probability"),
    "minp": _command("[P|off]", "drop what is this much less likely"),
    "penalty": _command("[X]", "repetition penalty; 1 is none"),
    "max": _command("[N]", "end answers after N tokens"),
    "seed": _command("[N]", "draw as from the start with seed N"),
    "system": _command("[TEXT|off]", "words before the first question"),
    "stats": _command("", "what each answer took, and all of them"),
    "copy": _command("", "copy the last answer"),
    "save": _command("[--force] FILE", "write the talk to a .json or .md file"),
    "retry": _command("", "answer the last question again"),
    "undo": _command("", "forget the last question and answer"),
    "clear": _command("", "start a new conversation"),
    "help": _command("", "show this"),
    "quit": _command("", "leave"),
}
ALIASES = {"exit": "quit", "": "help", "temp": "temperature"}
COMMAND_WORDS = tuple(f"/{name}" for name in COMMANDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A command as it was typed: its name in the table, and the rest of the line."""

    name: str
    argument: str


def is_command(text: str) -> bool:
    """Return whether a message is meant for the program: "/word", not "/usr/bin" or "//word"."""
    return bool(_LOOKS_LIKE_COMMAND.match(text))


def parse_command(text: str) -> Given:
    """Return the command that a line gives.

    Raises:
        UsageError: there is no such command.
    """
    word, _, argument = text.partition(" ")
    name = ALIASES.get(word[1:], word[1:])
    if name not in COMMANDS:
        raise UsageError(f"no command {word!r}{nearest(word, COMMAND_WORDS)}; /help lists all")
    return Given(name=name, argument=argument.strip())


def usage_lines() -> list[str]:
    """Return the commands with what they do, aligned."""
    usages = {f"/{name} {command.argument}".rstrip(): command for name, command in COMMANDS.items()}
    width = max(map(len, usages))
    return [f"  {usage.ljust(width)}  {command.summary}" for usage, command in usages.items()]


def changed_by(settings: TalkSettings, given: Given) -> TalkSettings:
    """Return the settings after a command of SETTINGS with its argument.

    Raises:
        UsageError: the argument is no number of its kind, or out of its range.
    """
    word, (name, convert) = f"/{given.name}", SETTINGS[given.name]
    is_off = name in CAN_BE_OFF and given.argument == OFF
    value = None if is_off else number_of(given.argument, word, convert)
    try:
        return settings.changed(**{name: value})
    except UsageError as error:
        raise UsageError(f"{word} {given.argument}: {error}") from None


def seed_of(text: str) -> int:
    """Return the seed that a person typed, or raise UsageError."""
    seed = int(number_of(text, "/seed", int))
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"/seed takes a number from 0 to 2**62, not {text}")
    return seed


def number_of(text: str, what: str, convert: Callable[[str], float]) -> float:
    """Return a number that a person typed for `what`, or raise UsageError."""
    try:
        return convert(text)
    except ValueError:
        kind = "a whole number" if convert is int else "a number"
        raise UsageError(f"{what} takes {kind}, not {text!r}") from None

"""What a line that begins with a slash does; tui/slash.py holds the words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from labcli import diagnostics
from labcli.chat.conversation import Conversation
from labcli.chat.keeping import copy, pick_turn, save
from labcli.chat.stats import stats_lines
from labcli.text.terminal import cut, glyphs_of, printable
from runs.errors import UsageError
from tui.answering.slash import (
    OFF,
    SETTINGS,
    Given,
    changed_by,
    parse_command,
    seed_of,
    usage_lines,
)

if TYPE_CHECKING:
    from labcli.chat.loop import Talk

MAX_SHOWN = 56


Act = Callable[["Talk", str], None]


def run_command(talk: Talk, text: str) -> None:
    """Carry out a command.

    Raises:
        LabError: it is unknown, or cannot be carried out.
    """
    given = parse_command(text)
    ACTS[given.name](talk, given.argument)


def help_lines() -> list[str]:
    """Return the commands with what they do, and the keys."""
    return [
        *usage_lines(),
        "  Ctrl-C stops an answer; twice at the prompt, like Ctrl-D, it leaves.",
        "  A backslash at the end of a line goes on below; //text says /text.",
    ]


def _use_model(talk: Talk, argument: str) -> None:
    if not argument:
        diagnostics.say(f"model: {talk.conversation.model} (labcli runs list shows others)")
        return
    talk.switch(argument)


def _set(command: str) -> Act:
    """Return what a command does that changes a setting, or tells it when no value is given."""

    def act(talk: Talk, argument: str) -> None:
        conversation = talk.conversation
        if argument:
            given = Given(name=command, argument=argument)
            conversation.settings = changed_by(conversation.settings, given)
        diagnostics.say(conversation.settings.summary())

    return act


def _set_seed(talk: Talk, argument: str) -> None:
    if argument:
        talk.conversation.seed(seed_of(argument))
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


ACTS: Mapping[str, Act] = {
    **{name: _set(name) for name in SETTINGS},
    "model": _use_model,
    "seed": _set_seed,
    "system": _set_system,
    "stats": _stats,
    "copy": _copy,
    "save": _save,
    "retry": _retry,
    "undo": _undo,
    "clear": _clear,
    "help": _help,
    "quit": _quit,
}


def describe(conversation: Conversation) -> str:
    """Return what an interactive talk says first."""
    trained = conversation.engine.model.config.sequence_len
    return (
        f"talking to {conversation.model}, trained on {trained:,} tokens at a time\n"
        "/help lists the commands, Ctrl-D leaves"
    )

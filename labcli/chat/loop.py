"""The talk: reads turn after turn, answers, and says what must be said once."""

from __future__ import annotations

import sys
from collections.abc import Callable

from labcli import diagnostics
from labcli.chat.commands import describe, run_command
from labcli.chat.conversation import Answer, Conversation
from labcli.chat.keys import keys_unseen
from labcli.chat.reading import History, TurnReader
from labcli.chat.screen import pick_screen
from labcli.chat.stats import answer_line
from labcli.output import emit_json_line
from labcli.speaking.speaker import Speaker
from labcli.text.terminal import dim
from runs.errors import LabError, UsageError
from runs.paths import LabHome
from tui.answering.slash import COMMAND_WORDS, is_command

Load = Callable[[str], Speaker]
LEAVE_HINT = "Ctrl-C again, Ctrl-D or /quit leaves"


class Talk:
    """A conversation, what it may load and where it keeps things; `answers` are all so far."""

    def __init__(
        self, conversation: Conversation, *, load: Load, home: LabHome, is_json: bool
    ) -> None:
        self.conversation = conversation
        self.home = home
        self.answers: list[Answer] = []
        self.is_done = False
        self._load = load
        self._is_json = is_json
        self._told: set[str] = set()

    def run(self, history: History | None) -> None:
        """Answer turn after turn until the end of input or /quit.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed twice at the prompt, or once without a terminal.
        """
        if diagnostics.is_terminal():
            diagnostics.say(describe(self.conversation))
        reader = TurnReader(history, COMMAND_WORDS)
        was_interrupted = False
        while not self.is_done:
            try:
                text = reader.read()
                if text is None:
                    return
                was_interrupted = False
                self._take(text.strip(), reader)
            except KeyboardInterrupt:
                if was_interrupted or not sys.stdin.isatty():
                    raise
                was_interrupted = True
                diagnostics.say(f"\n{LEAVE_HINT}")

    def _take(self, text: str, reader: TurnReader) -> None:
        if not text:
            return
        reader.remember(text)
        if is_command(text):
            try:
                run_command(self, text)
            except LabError as error:
                diagnostics.say(str(error))
        else:
            self.answer(text.removeprefix("/") if text.startswith("//") else text)

    def answer(self, text: str) -> bool:
        """Show the answer to `text` and what it took; return whether there is one."""
        num_before = len(self.conversation.turns)
        try:
            answer = show_answer(self.conversation, text, is_json=self._is_json)
        except UsageError as error:
            diagnostics.say(f"{error} (/clear starts a new conversation)")
            return False
        self.answers.append(answer)
        self._tell_context(answer)
        if len(self.conversation.turns) == num_before:
            diagnostics.say("stopped before the first word; the question is forgotten")
            return False
        return True

    def switch(self, ref: str) -> None:
        """Go on with another model; Ctrl-C while it loads keeps the one before.

        Raises:
            LabError: the reference names no model that can be loaded.
        """
        try:
            speaker = self._load(ref)
        except KeyboardInterrupt:
            diagnostics.say(f"\nstill talking to {self.conversation.model}")
            return
        self.conversation.speaker = speaker
        self.forget_notices()
        diagnostics.say(f"model: {speaker.name}")

    def forget_notices(self) -> None:
        """Let what is said once per conversation be said again."""
        self._told.clear()

    def _tell_context(self, answer: Answer) -> None:
        if answer.num_unread:
            self._tell_once(f"over {answer.max_context:,} tokens: the oldest turns are not read")
        elif answer.num_context > answer.trained_context:
            self._tell_once(
                f"over the {answer.trained_context:,} tokens of its training: answers may get worse"
            )

    def _tell_once(self, notice: str) -> None:
        if notice not in self._told:
            self._told.add(notice)
            diagnostics.say(f"{notice} (/clear starts anew)")


def show_answer(conversation: Conversation, text: str, *, is_json: bool) -> Answer:
    """Return the answer to `text`, shown on stdout; what it took goes to stderr.

    Raises:
        UsageError: the text does not fit.
    """
    settings, screen = conversation.settings, pick_screen(is_json=is_json)
    with keys_unseen():
        answer = conversation.say(text, screen.show)
        screen.end()
    if is_json:
        emit_json_line(answer.as_row(conversation.model, text, settings))
        return answer
    diagnostics.say(dim(diagnostics.fit_terminal(answer_line(answer)), sys.stderr))
    note_cut(answer, settings.max_new_tokens)
    return answer


def note_cut(answer: Answer, limit: int) -> None:
    """Tell when an answer ended because it had no room left."""
    if answer.finish == "length":
        diagnostics.say(f"cut off at {limit} tokens; --max-new-tokens (here /max) allows more")

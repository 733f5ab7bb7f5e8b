"""`labcli chat`: talk to a model that was trained here."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from labcli import diagnostics
from labcli.chat.conversation import Conversation
from labcli.chat.loop import Talk, note_cut, show_answer
from labcli.chat.reading import History, read_stdin
from labcli.chat.screen import NoScreen
from labcli.flags.group import with_groups
from labcli.flags.sampling import DRAWN_TEMPERATURE, LoadOptions, SamplingOptions
from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.output import emit_json
from labcli.speaking.prompting import BASE_NOTE
from labcli.speaking.speaker import Speaker, weights_note
from runs.errors import ExitCode, UsageError
from runs.paths import LabHome
from runs.refs import resolve_checkpoint

app = lone_command()

PromptOption = Annotated[
    str | None,
    typer.Option(
        "-p",
        "--prompt",
        metavar="TEXT",
        help="Answer this and leave; '-' reads the text from stdin.",
        show_default=False,
    ),
]
ModelOption = Annotated[
    str | None,
    optional(
        "--model",
        "REF",
        "Choose RUN[:STAGE][@STEP] or a checkpoint path; default: the last finished run.",
    ),
]
TemperatureOption = Annotated[
    float | None,
    optional(
        "--temperature",
        "T",
        f"Set the randomness; default: 0 (none) with -p, else {DRAWN_TEMPERATURE}.",
        min=0.0,
    ),
]
SystemOption = Annotated[
    str | None, optional("--system", "TEXT", "Put these words before the first question.")
]
NoHistoryOption = Annotated[
    bool,
    typer.Option("--no-history", help="Neither read nor keep what was typed in earlier talks."),
]


@app.command()
@with_groups
def chat(
    ctx: typer.Context,
    *,
    prompt: PromptOption = None,
    model: ModelOption = None,
    temperature: TemperatureOption = None,
    sampling: SamplingOptions,
    system: SystemOption = None,
    options: LoadOptions,
    no_history: NoHistoryOption = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Talk to a model that was trained here.

    With -p it answers once, without randomness unless --temperature is given. Otherwise every
    line of stdin is a turn, and /help lists the commands: switching the model, sampling,
    /retry, /undo, /save, /copy, /stats. Ctrl-C stops an answer; Ctrl-D or /quit leaves.
    """
    if prompt == "-":
        prompt = read_stdin().strip()
    if prompt is not None and not prompt.strip():
        raise UsageError("the prompt is empty; write what the model should answer")
    if temperature is None:
        temperature = DRAWN_TEMPERATURE if prompt is None else 0.0
    settings = sampling.settings(temperature)
    lab = home_of(ctx, home)
    load = partial(_load, lab, options)
    speaker = load(model)
    is_announced = prompt is None and diagnostics.is_terminal()
    if model is None and not is_announced:
        diagnostics.say(f"model: {speaker.name}")
    conversation = Conversation(speaker, settings)
    conversation.system = system
    if prompt is not None:
        _answer_once(conversation, prompt, is_json=json)
        return
    talk = Talk(conversation, load=load, home=lab, is_json=json)
    talk.run(None if no_history else History(lab.root / "chat_history"))


def _load(lab: LabHome, options: LoadOptions, ref: str | None) -> Speaker:
    # One row: a talk has one answer at a time, and the row keeps what was read so far.
    speaker = options.load(resolve_checkpoint(lab, ref), max_rows=1)
    if note := weights_note(speaker.engine):
        diagnostics.say(note)
    if speaker.is_base:
        diagnostics.say(BASE_NOTE)
    return speaker


def _answer_once(conversation: Conversation, prompt: str, *, is_json: bool) -> None:
    if is_json:
        answer = conversation.say(prompt, NoScreen().show)
        emit_json(answer.as_row(conversation.model, prompt, conversation.settings))
        note_cut(answer, conversation.settings.max_new_tokens)
    else:
        answer = show_answer(conversation, prompt, is_json=False)
    if answer.finish == "interrupted":
        raise typer.Exit(ExitCode.INTERRUPTED)

"""`labcli chat`: talk to a model that was trained here."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from labcli import diagnostics
from labcli.options import HomeOption, JsonOption, home_of
from labcli.output import emit, emit_json
from labcli.speaker import load_speaker
from labcli.talk import (
    Conversation,
    TalkSettings,
    note_cut,
    read_stdin,
    repeat,
    show_nothing,
    show_piece,
)
from runs.errors import ExitCode, UsageError
from runs.refs import resolve_checkpoint

CHAT_TEMPERATURE = 0.6
HELP_NAMES = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(rich_markup_mode=None, add_completion=False, context_settings=HELP_NAMES)

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
    typer.Option(
        "--model",
        metavar="REF",
        help="Choose RUN[:STAGE][@STEP] or a checkpoint path; default: the last finished run.",
        show_default=False,
    ),
]
TemperatureOption = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        min=0.0,
        metavar="T",
        help=f"Set the randomness; default: 0 (none) with -p, else {CHAT_TEMPERATURE}.",
        show_default=False,
    ),
]
TopKOption = Annotated[
    int, typer.Option("--top-k", min=1, metavar="K", help="Draw from the K likeliest tokens.")
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        max=2**62,
        metavar="N",
        help="Repeat the answers of an earlier talk; default: new ones each time.",
        show_default=False,
    ),
]
LimitOption = Annotated[
    int,
    typer.Option("--max-new-tokens", min=1, metavar="N", help="End an answer after N tokens."),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Run on cpu, cuda or cuda:N; default: a GPU if there is one.",
        show_default=False,
    ),
]


@app.command()
def chat(
    ctx: typer.Context,
    prompt: PromptOption = None,
    model: ModelOption = None,
    temperature: TemperatureOption = None,
    top_k: TopKOption = 50,
    seed: SeedOption = None,
    max_new_tokens: LimitOption = 256,
    device: DeviceOption = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Talk to a model that was trained here.

    With -p it answers once, without randomness unless --temperature is given. Otherwise every
    line of stdin is a turn: /clear starts afresh, /quit or the end of input leaves, Ctrl-C
    stops an answer.
    """
    if prompt == "-":
        prompt = read_stdin().strip()
    if prompt is not None and not prompt.strip():
        raise UsageError("the prompt is empty; write what the model should answer")
    found = resolve_checkpoint(home_of(ctx, home), model)
    speaker = load_speaker(found, device)
    if model is None:
        diagnostics.say(f"model: {speaker.name}")
    if speaker.stage == "base":
        diagnostics.say("a base model continues text; it has not learnt to answer questions")
    if temperature is None:
        temperature = CHAT_TEMPERATURE if prompt is None else 0.0
    settings = TalkSettings(
        temperature=temperature,
        top_k=top_k,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        max_new_tokens=max_new_tokens,
    )
    conversation = Conversation(speaker.engine, settings)
    if prompt is None:
        repeat(conversation, speaker.name, is_json=json)
    else:
        _answer_once(conversation, speaker.name, prompt, is_json=json)


def _answer_once(conversation: Conversation, name: str, prompt: str, *, is_json: bool) -> None:
    answer = conversation.say(prompt, show_nothing if is_json else show_piece)
    if is_json:
        emit_json(answer.as_row(name, prompt, conversation.settings))
    else:
        emit("")
    if answer.finish == "interrupted":
        raise typer.Exit(ExitCode.INTERRUPTED)
    note_cut(answer, conversation.settings)

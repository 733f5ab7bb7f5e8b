"""`labcli tok explain`: how a text, a token or a conversation came to its tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.tok.given import FileOption, TextArgument, TokenizerOption, read_messages, read_text
from runs.errors import UsageError

app = lone_command()

TokenOption = Annotated[
    int | None,
    optional("--token", "N", "Show token N of the text alone.", min=0),
]
IdOption = Annotated[
    int | None,
    optional("--id", "ID", "Show an id of the vocabulary, without a text."),
]
StepsOption = Annotated[
    bool, typer.Option("--steps", help="Show the merges of every word, one by one.")
]
NearOption = Annotated[
    int,
    typer.Option(
        "--near", min=0, metavar="N", help="Show N tokens of each way to be near this one."
    ),
]
ConversationOption = Annotated[
    Path | None,
    optional(
        "--conversation",
        "FILE",
        "Show a conversation (JSON messages) as training sees it, with its loss mask.",
    ),
]
LimitOption = Annotated[
    int, typer.Option("--limit", min=1, metavar="N", help="Show at most N rows of tokens.")
]
BoxOption = Annotated[bool, typer.Option("--box", help="Draw trees with box characters.")]


@app.command()
def explain(
    ctx: typer.Context,
    text: TextArgument = None,
    file: FileOption = None,
    tokenizer: TokenizerOption = None,
    token: TokenOption = None,
    id_: IdOption = None,
    steps: StepsOption = False,
    near: NearOption = 0,
    conversation: ConversationOption = None,
    limit: LimitOption = 20,
    box: BoxOption = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show how a text became its tokens: ids, merges, and why neighbours stayed apart.

    Spaces count: the token of " the" is another than that of "the". What does not print is shown
    as an escape, bytes that are no UTF-8 alone as \\xNN.
    """
    has_text = text is not None or file is not None
    if [has_text, id_ is not None, conversation is not None].count(True) != 1:
        raise UsageError("give one of: a text, --file, --id, --conversation")
    if token is not None and not has_text:
        raise UsageError("--token needs a text that the token is part of")
    messages = read_messages(conversation) if conversation is not None else None
    whole = read_text(text, file)

    from labcli.tok import explanation
    from labcli.tok.refs import resolve_tokenizer

    asked = explanation.Asked(
        has_steps=steps, num_near=near, limit=limit, has_boxes=box, is_json=json
    )
    named = resolve_tokenizer(home_of(ctx, home), tokenizer)
    if messages is not None:
        explanation.show_conversation(named, messages, asked)
    elif id_ is not None:
        explanation.show_id(named, id_, asked)
    elif whole is not None:
        explanation.show_text(named, whole, token, asked)

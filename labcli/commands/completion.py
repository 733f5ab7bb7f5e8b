"""`labcli completion`: what makes a shell complete commands, options and runs."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import typer

from labcli.complete import cache_path, refresh_index, sources_mark
from labcli.completion.shells import script
from labcli.options import lone_command
from labcli.output import emit

app = lone_command()

Shell = Annotated[
    Literal["bash", "zsh", "fish"],
    typer.Argument(metavar="bash|zsh|fish", help="The shell.", show_default=False),
]


@app.command()
def completion(shell: Shell) -> None:
    """Print the completion script of a shell. Put one of these into its start-up file:

    ~/.bashrc: eval "$(labcli completion bash)"

    ~/.zshrc: eval "$(labcli completion zsh)", after compinit

    ~/.config/fish/config.fish: labcli completion fish | source
    """
    # The first press of Tab should be as fast as those after it.
    refresh_index(cache_path(os.environ), sources_mark())
    emit(script(shell))

"""`labcli tui ... --serve`: the same app in a browser, on this machine alone."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from labcli import diagnostics
from runs.errors import Busy, ExitCode, UsageError
from runs.paths import LabHome

EXTRA = "in the clone: uv sync --extra web, or: pip install -e '.[web]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """Whether a view is shown in a browser instead of this terminal, and where."""

    serve: Annotated[
        bool, typer.Option("--serve", help="Show it in a browser on this machine instead.")
    ] = False
    host: Annotated[
        str, typer.Option("--host", metavar="HOST", help="With --serve: listen on this address.")
    ] = "127.0.0.1"
    port: Annotated[
        int,
        typer.Option(
            "--port", min=0, max=65535, metavar="N", help="With --serve: listen here; 0 takes any."
        ),
    ] = 8001


def serve_view(home: LabHome, words: Sequence[str], options: ServeOptions) -> None:
    """Serve `labcli tui` with these words until Ctrl-C; each page gets an app of its own.

    Raises:
        UsageError: textual-serve is not installed, or other machines could reach the address.
        Busy: the port is taken.
        typer.Exit: Ctrl-C.
    """
    if importlib.util.find_spec("textual_serve") is None:
        raise UsageError(f"--serve needs textual-serve, which is not installed; {EXTRA}")
    from labcli.browser.web_server import LocalServer

    port = _free_port(options.host, options.port)
    argv = [sys.executable, "-P", "-m", "labcli.app", "--home", str(home.root), "tui", *words]
    # Without a shell in between the app is the child, and ends when it is told to.
    server = LocalServer(f"exec {shlex.join(argv)}", host=options.host, port=port)
    server.announce = lambda url: diagnostics.say(
        f"labcli tui {words[0]} at {url} (Ctrl-C stops; runs go on)"
    )
    try:
        server.serve()
    except OSError as error:
        raise Busy(f"cannot listen on {server.public_url}: {error.strerror}") from None
    raise typer.Exit(ExitCode.INTERRUPTED)


def _free_port(host: str, port: int) -> int:
    """Return the port to listen on, once it is known to be free and only this machine's."""
    from core.serve.listen import is_loopback, listen_tcp

    with listen_tcp(host, port) as listener:
        if not is_loopback(listener):
            raise UsageError(
                f"{host} can be reached from other machines, and the view in a browser asks for "
                f"no password; use --host 127.0.0.1, and from elsewhere: "
                f"ssh -L {port}:127.0.0.1:{port} THIS-MACHINE"
            )
        return int(listener.getsockname()[1])

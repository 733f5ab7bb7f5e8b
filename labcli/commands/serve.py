"""`labcli serve`: answer over HTTP with models that were trained here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labcli import diagnostics
from labcli.flags.sampling import WeightsOption, weight_type
from labcli.options import HELP_NAMES, HomeOption, home_of
from runs.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import socket

    from core.serve.settings import ServeSettings

RUNPOD_URL = "https://{pod}-{port}.proxy.runpod.net"

app = typer.Typer(rich_markup_mode=None, add_completion=False, context_settings=HELP_NAMES)

ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="REF",
        help="Load RUN[:STAGE][@STEP] or a checkpoint path at the start; the first is the "
        "default. Default: the last finished run.",
        show_default=False,
    ),
]
HostOption = Annotated[str, typer.Option("--host", metavar="HOST", help="Listen on this address.")]
PortOption = Annotated[
    int, typer.Option("--port", min=0, max=65535, metavar="N", help="Listen here; 0 takes any.")
]
UdsOption = Annotated[
    Path | None,
    typer.Option(
        "--uds", metavar="PATH", help="Listen on a unix socket instead.", show_default=False
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="LABCLI_TOKEN",
        help="Ask every client for this; needed on any address but loopback.",
        show_default=False,
        show_envvar=True,
    ),
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, max=64, metavar="N", help="Start N per device.")
]
GpusOption = Annotated[
    int | None,
    typer.Option(
        "--num-gpus", min=1, max=64, metavar="N", help="Use GPUs 0 to N-1.", show_default=False
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Run on cpu, cuda, cuda:N or mps; default: a CUDA GPU or cpu.",
        show_default=False,
    ),
]
MaxModelsOption = Annotated[
    int, typer.Option("--max-models", min=1, metavar="N", help="Hold N models per worker.")
]
MaxRowsOption = Annotated[
    int,
    typer.Option(
        "--max-rows", min=1, max=1024, metavar="N", help="Answer N at a time per model and worker."
    ),
]
MaxQueueOption = Annotated[
    int, typer.Option("--max-queue", min=0, metavar="N", help="Refuse calls beyond N that wait.")
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=0.1, metavar="S", help="End a call after S seconds.")
]
GraceOption = Annotated[
    float, typer.Option("--grace", min=0, metavar="S", help="Finish answers this long at the end.")
]
OriginsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-origin",
        metavar="URL",
        help="Let pages of this site call, such as https://lab.example.",
        show_default=False,
    ),
]
StdinOption = Annotated[
    bool, typer.Option("--exit-with-stdin", help="End when stdin closes, for a parent program.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where the server listens, and the address to show for it."""

    listener: socket.socket
    url: str
    is_checked: bool


@app.command()
def serve(
    ctx: typer.Context,
    model: ModelsOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    uds: UdsOption = None,
    token: TokenOption = None,
    workers: WorkersOption = 1,
    num_gpus: GpusOption = None,
    device: DeviceOption = None,
    weights: WeightsOption = "native",
    max_models: MaxModelsOption = 3,
    max_rows: MaxRowsOption = 32,
    max_queue: MaxQueueOption = 64,
    timeout: TimeoutOption = 300.0,
    grace: GraceOption = 10.0,
    allow_origin: OriginsOption = None,
    exit_with_stdin: StdinOption = False,
    home: HomeOption = None,
) -> None:
    """Answer over HTTP: OpenAI's API under /v1, a web chat at /, counters at /metrics.

    Other models of the lab home are loaded when a call names them. One worker process per
    device holds them. Ctrl-C lets running answers finish first.
    """
    from core.serve.settings import ServeSettings

    settings = ServeSettings(
        devices=_devices(device, num_gpus) * workers,
        weights=weight_type(weights),
        max_models=max_models,
        max_rows=max_rows,
        max_queue=max_queue,
        timeout_s=timeout,
        grace_s=grace,
        token=token or None,
    )
    origins = tuple(origin.rstrip("/") for origin in allow_origin or ())
    place = _listen(host, port, uds, settings)
    try:
        _run(ctx, home, model or [], settings, place, origins, exit_with_stdin)
    finally:
        place.listener.close()
        if uds is not None:
            uds.unlink(missing_ok=True)


def _run(
    ctx: typer.Context,
    home: Path | None,
    references: list[str],
    settings: ServeSettings,
    place: _Place,
    origins: tuple[str, ...],
    ends_with_stdin: bool,
) -> None:
    import asyncio
    from dataclasses import replace

    from core.serve.app import create_app
    from core.serve.run import serve as serve_until_end
    from labcli.speaking.served import Shelf

    shelf = Shelf(home_of(ctx, home), references)
    proxy = runpod_url(place.listener.getsockname()[1]) if place.url.startswith("http") else None
    allowed = (*origins, proxy) if proxy else origins
    service = create_app(
        catalogue=shelf.catalogue,
        resolve=shelf.resolve,
        settings=replace(settings, checks_host=place.is_checked, allowed_origins=allowed),
        preload=shelf.named,
    )

    def announce() -> None:
        also = f", {proxy}" if proxy else ""
        diagnostics.say(f"serving {shelf.named[0].name} at {place.url}{also} (Ctrl-C stops)")

    end = asyncio.run(
        serve_until_end(service, place.listener, on_ready=announce, ends_with_stdin=ends_with_stdin)
    )
    if end == "interrupted":
        raise typer.Exit(ExitCode.INTERRUPTED)


def _listen(host: str, port: int, uds: Path | None, settings: ServeSettings) -> _Place:
    from core.serve.listen import is_loopback, listen_tcp, listen_unix

    if uds is not None:
        return _Place(listener=listen_unix(uds), url=f"unix:{uds}", is_checked=False)
    listener = listen_tcp(host, port)
    is_local = is_loopback(listener)
    if not is_local and settings.token is None:
        listener.close()
        raise UsageError(
            f"{host} can be reached from other machines; give --token (or set LABCLI_TOKEN), "
            "or use --host 127.0.0.1"
        )
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    return _Place(listener=listener, url=url, is_checked=is_local)


def runpod_url(port: int) -> str | None:
    """Return the address of RunPod's proxy for a port of this pod, or None elsewhere."""
    pod = os.environ.get("RUNPOD_POD_ID")
    return RUNPOD_URL.format(pod=pod, port=port) if pod else None


def _devices(device: str | None, num_gpus: int | None) -> tuple[str | None, ...]:
    if num_gpus is None:
        return (device,)
    if device not in (None, "cuda"):
        raise UsageError(f"--num-gpus uses GPUs and --device asks for {device}; give one of them")
    return tuple(f"cuda:{index}" for index in range(num_gpus))

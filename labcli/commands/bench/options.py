"""Options that several commands of `labcli bench` share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import typer

from labcli.options import optional
from runs.errors import UsageError, nearest

SIZE = re.compile(r"(\d+)\s*(kb|mb|gb)", re.IGNORECASE)
UNIT_BYTES = {"kb": 10**3, "mb": 10**6, "gb": 10**9}
MAX_VOCAB_SIZE = 1_000_000

ModelOption = Annotated[
    str | None,
    optional(
        "--model", "REF", "Measure RUN[:STAGE][@STEP] or a checkpoint; default: random weights."
    ),
]
DepthOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="Give the model this many layers.")
]
ModelVocabOption = Annotated[
    int,
    typer.Option(min=265, max=MAX_VOCAB_SIZE, metavar="N", help="Give the model this many tokens."),
]
PromptOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="Ask with prompts of N tokens.")
]
NewOption = Annotated[int, typer.Option(min=2, metavar="N", help="Let answers have N tokens.")]
RoundsOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="Measure this often; medians count.")
]
DeviceOption = Annotated[
    str | None,
    optional("--device", "NAME", "Run on cpu, cuda, cuda:N or mps."),
]


def parse_size(text: str, option: str = "--size") -> int:
    """Return a size such as 20mb in bytes."""
    match = SIZE.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise UsageError(f"{option} takes a size such as 20mb, 100mb or 350mb, not {text!r}")
    return int(match[1]) * UNIT_BYTES[match[2].lower()]


def check_tasks(only: list[str] | None, tasks: Sequence[str]) -> list[str]:
    """Return the tasks that are asked for, which is all where none is named."""
    for name in only or []:
        if name not in tasks:
            raise UsageError(f"no task {name!r} to measure{nearest(name, tasks)}")
    return only or list(tasks)

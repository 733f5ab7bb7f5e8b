"""Which tokenizer tools can be measured, for what, and which of them are installed.

Looks at package metadata alone: importing a peer here would cost the caller its memory, and in a
checkout `import rustbpe` finds the crate's directory when the package is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from runs.errors import UsageError, nearest

Task = Literal["train", "encode"]
OURS = "labcli"
# Reads the same text and does nothing with it: what every tool's memory is compared with.
BASELINE = "read"
EXTRA = "in the clone: uv sync --extra bench, or: pip install -e '.[bench]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One way to train or encode; several can come from one package."""

    name: str
    package: str
    tasks: tuple[Task, ...]
    is_in_extra: bool = False
    only_pattern: str | None = None
    needs_text_file: bool = False


TOOLS = (
    Tool(name=OURS, package="labcli", tasks=("train", "encode")),
    Tool(name="rustbpe", package="rustbpe", tasks=("train",), is_in_extra=True),
    Tool(name="tokenizers", package="tokenizers", tasks=("train", "encode"), is_in_extra=True),
    Tool(name="tiktoken", package="tiktoken", tasks=("encode",)),
    Tool(name="tiktoken-numpy", package="tiktoken", tasks=("encode",)),
    Tool(name="bpeasy", package="bpeasy", tasks=("train",)),
    Tool(name="riptoken", package="riptoken", tasks=("encode",)),
    Tool(
        name="gigabpe",
        package="gigabpe",
        tasks=("train",),
        only_pattern="gpt2",
        needs_text_file=True,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The tools to measure, and those that cannot be."""

    tools: tuple[Tool, ...]
    missing: tuple[Tool, ...]
    unfit: tuple[Tool, ...]


def pick_tools(names: Sequence[str], tasks: Sequence[Task], pattern: str) -> Selection:
    """Return labcli and the named peers, or every peer, as far as they do one of the tasks.

    Raises:
        UsageError: there is no such tool.
    """
    known = [tool.name for tool in TOOLS]
    for name in names:
        if name not in known:
            raise UsageError(f"no tool {name!r} to measure{nearest(name, known)}")
    asked = [
        tool
        for tool in TOOLS
        if (not names or tool.name in names or tool.name == OURS) and set(tool.tasks) & set(tasks)
    ]
    # labcli runs from a checkout that is not installed, too.
    present = [tool for tool in asked if tool.name == OURS or installed_version(tool.package)]
    fits = [tool for tool in present if tool.only_pattern in (None, pattern)]
    return Selection(
        tools=tuple(fits),
        missing=tuple(tool for tool in asked if tool not in present),
        unfit=tuple(tool for tool in present if tool not in fits),
    )


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def describe_left_out(selection: Selection) -> list[str]:
    """Return the lines that name the tools which are not measured, and why."""
    lines, parts = [], []
    bundled = [tool.name for tool in selection.missing if tool.is_in_extra]
    others = [tool.package for tool in selection.missing if not tool.is_in_extra]
    if bundled:
        parts.append(f"{', '.join(bundled)} ({EXTRA})")
    if others:
        parts.append(f"{', '.join(others)} (pip install {' '.join(others)})")
    if parts:
        lines.append(f"not installed, so not measured: {'; '.join(parts)}")
    lines += [
        f"{tool.name} splits by one pattern alone, so it is measured with "
        f"--pattern {tool.only_pattern}"
        for tool in selection.unfit
    ]
    return lines

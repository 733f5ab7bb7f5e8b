"""What a shell offers when Tab is pressed: fast, since a person waits for every answer.

Loads neither Typer nor DuckDB. What commands there are comes from an index that
labcli.completion.command_index makes once for each version of the sources; runs come from the
names in the lab home. A shell sends the line before the cursor in _LABCLI_LINE, and its own name.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labcli.completion.shells import BREAKS_VARIABLE, LINE_VARIABLE, SHELL_VARIABLE
from runs.ids import is_ulid
from runs.paths import LabHome, lab_home

MAX_CANDIDATES = 500
# How many of the newest runs are looked into for their names; directories are named after slugs.
MAX_NAMED = 200
_HEAD_BYTES = 400
_NAME = re.compile(rb'"name": ("(?:[^"\\]|\\.)*")')
_SPECIAL = re.compile(r"[^\w@%+=:,./~-]")
_STEP_DIR = re.compile(r"step_(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A word that may stand where the cursor is, and what it is."""

    text: str
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The words before the cursor and the one at it, which may be empty."""

    words: tuple[str, ...]
    part: str
    env: Mapping[str, str] = field(default_factory=dict)


def answer(env: Mapping[str, str]) -> str:
    """Return the lines that a shell reads; nothing when something goes wrong."""
    request = parse_line(env.get(LINE_VARIABLE, ""), env)
    offered = {item.text: item for item in candidates(request, load_index(env))}
    found = list(offered.values())[:MAX_CANDIDATES]
    if env.get(SHELL_VARIABLE) == "bash":
        cut = _bash_cut(request.part, env.get(BREAKS_VARIABLE, ""))
        # The other shells quote by themselves.
        return "\n".join(_SPECIAL.sub(r"\\\g<0>", item.text[cut:]) for item in found)
    return "\n".join(f"{item.text}\t{item.about}" for item in found)


def parse_line(line: str, env: Mapping[str, str]) -> Request:
    """Return a line taken apart as a shell would; quotes may still be open."""
    words: list[str] = []
    current, quote, is_open = "", "", False
    for index, char in enumerate(line):
        if index and line[index - 1] == "\\" and quote != "'":
            current = current[:-1] + char
        elif quote:
            if char == quote:
                quote = ""
            else:
                current += char
        elif char in "'\"":
            quote, is_open = char, True
        elif char.isspace():
            if current or is_open:
                words.append(current)
            current, is_open = "", False
        else:
            current += char
    return Request(words=tuple(words[1:]), part=current, env=env)


def candidates(request: Request, index: Mapping[str, Any]) -> list[Candidate]:
    """Return what may stand at the cursor."""
    node, options, given = index, dict(index.get("options", {})), 0
    waiting: Mapping[str, Any] | None = None
    is_plain = False
    for word in request.words:
        if waiting is not None:
            waiting = None
        elif word == "--" and not is_plain:
            is_plain = True
        elif word.startswith("-") and not is_plain:
            option = options.get(word.partition("=")[0], {"is_flag": True})
            waiting = None if option.get("is_flag") or "=" in word else option
        elif word in node.get("commands", {}):
            node = node["commands"][word]
            options = dict(node.get("options", {}))
        else:
            given += 1
    return list(_offers(request, node, options, given, waiting, is_plain=is_plain))


def _offers(
    request: Request,
    node: Mapping[str, Any],
    options: Mapping[str, Any],
    given: int,
    waiting: Mapping[str, Any] | None,
    *,
    is_plain: bool,
) -> Iterator[Candidate]:
    part = request.part
    if waiting is not None:
        yield from _values(waiting, request, part)
    elif part.startswith("-") and not is_plain:
        flag, equals, value = part.partition("=")
        if equals:
            for item in _values(options.get(flag, {}), request, value):
                yield Candidate(text=f"{flag}={item.text}", about=item.about)
            return
        for name, option in options.items():
            if name.startswith(part) and (name.startswith("--") or part == "-"):
                yield Candidate(text=name, about=option.get("about", ""))
    else:
        for name, child in node.get("commands", {}).items():
            if name.startswith(part):
                yield Candidate(text=name, about=child.get("about", ""))
        arguments = node.get("arguments", [])
        if given < len(arguments):
            yield from _values(arguments[given], request, part)
        elif arguments and arguments[-1].get("is_many"):
            yield from _values(arguments[-1], request, part)


def _values(param: Mapping[str, Any], request: Request, part: str) -> Iterator[Candidate]:
    kind = param.get("kind")
    if kind == "run":
        yield from _runs(_home(request), part)
    elif kind == "trashed":
        yield from _runs(LabHome(_home(request).trash_dir), part, has_last=False)
    elif kind == "ref":
        yield from _refs(request, part)
    elif kind == "file":
        yield from _files(part)
    elif kind in ("filter", "key"):
        yield from _filters(request, part, is_key=kind == "key")
    for text, about in param.get("choices", {}).items():
        if text.startswith(part):
            yield Candidate(text=text, about=about)


def _filters(request: Request, part: str, *, is_key: bool) -> Iterator[Candidate]:
    """Yield what the word may become in a filter, or the names to sort and group by."""
    # Only a filter needs what runs hold; names of runs are there sooner without it.
    from runs.views.card import keep_cards, load_cards
    from runs.views.filter_completion import complete

    cards = load_cards(_home(request))[:MAX_NAMED]
    for found in complete(part, len(part), cards):
        text = part[: found.start] + found.text + part[found.end :]
        if is_key and found.about in ("field", "keyword"):
            continue
        # A setting is asked for a value; what is measured, for more or less than one.
        is_asked = found.about == "setting" and not is_key and not part.startswith("has:")
        if found.text.lstrip('"').lower().startswith(part[found.start :].lower()):
            yield Candidate(text=f"{text}=" if is_asked else text, about=found.about)
    keep_cards(cards)


def _runs(home: LabHome, part: str, *, has_last: bool = True) -> Iterator[Candidate]:
    if has_last and "last".startswith(part):
        yield Candidate(text="last", about="the newest run")
    for index, path in enumerate(_run_dirs(home)):
        run_id, slug = path.name[:26], path.name[27:]
        if slug.startswith(part):
            yield Candidate(text=slug, about=run_id)
        elif part and run_id.startswith(part.upper()):
            yield Candidate(text=run_id, about=slug)
        if index < MAX_NAMED:
            name = _name(path)
            if name and name != slug and name.startswith(part):
                yield Candidate(text=name, about=slug)


def _refs(request: Request, part: str) -> Iterator[Candidate]:
    """Yield RUN, then RUN:STAGE and RUN:STAGE@STEP for stages with checkpoints, or paths."""
    if "/" in part:
        yield from _files(part)
        return
    run, colon, rest = part.partition(":")
    if not colon:
        yield from _runs(_home(request), part)
        return
    run_dir = next(
        (p for p in _run_dirs(_home(request)) if run in ("last", p.name[27:], _name(p))), None
    )
    if run_dir is None:
        return
    stage, at, _ = rest.partition("@")
    for directory in _children(run_dir / "checkpoints"):
        steps = sorted(
            int(match[1])
            for child in _children(directory)
            if (match := _STEP_DIR.fullmatch(child.name)) and (child / "COMMITTED").exists()
        )
        if not steps:
            continue
        texts = [directory.name]
        if at and directory.name == stage:
            texts = [f"{stage}@{step}" for step in ("last", "best", *reversed(steps))]
        for text in texts:
            if text.startswith(rest):
                yield Candidate(text=f"{run}:{text}", about=f"{len(steps)} checkpoints")


def _files(part: str) -> Iterator[Candidate]:
    head, slash, tail = part.rpartition("/")
    directory = Path(head + slash or ".").expanduser()
    for path in _children(directory):
        if path.name.startswith(tail) and (tail or not path.name.startswith(".")):
            yield Candidate(text=head + slash + path.name + ("/" if path.is_dir() else ""))


def _children(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _run_dirs(home: LabHome) -> list[Path]:
    named = [path for path in _children(home.runs_dir) if is_ulid(path.name[:26])]
    return named[::-1]


def _home(request: Request) -> LabHome:
    words = (*request.words, "")
    chosen = None
    for word, following in itertools.pairwise(words):
        if word == "--home":
            chosen = following
        elif word.startswith("--home="):
            chosen = word.partition("=")[2]
    return lab_home(Path(chosen) if chosen else None, request.env)


def _name(run_dir: Path) -> str | None:
    """Return the name of a run, from the little of its files that holds it."""
    try:
        renames = (run_dir / "annotations.jsonl").read_bytes().splitlines()
    except OSError:
        renames = []
    for line in reversed(renames):
        if b'"kind":"rename"' in line:
            try:
                return str(json.loads(line)["text"])
            except (ValueError, KeyError):
                continue
    try:
        with open(run_dir / "run.json", "rb") as stream:
            match = _NAME.search(stream.read(_HEAD_BYTES))
        return str(json.loads(match[1])) if match else None
    except (OSError, ValueError):
        return None


def load_index(env: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the index of commands, from the cache of this user where that is up to date."""
    path = cache_path(env)
    mark = sources_mark()
    try:
        kept = json.loads(path.read_bytes())
        if kept["mark"] == mark:
            index: Mapping[str, Any] = kept["index"]
            return index
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return refresh_index(path, mark)


def refresh_index(path: Path, mark: str) -> Mapping[str, Any]:
    """Make the index, keep it for the next time, and return it."""
    from labcli.completion.command_index import build_index

    index = build_index()
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps({"mark": mark, "index": index}), encoding="utf-8")
        aside.replace(path)
    except OSError:
        # Without a cache Tab is slow, and that is all.
        return index
    return index


def cache_path(env: Mapping[str, str]) -> Path:
    """Return where this user's index is kept."""
    cache = env.get("XDG_CACHE_HOME") or str(Path(env.get("HOME") or "~").expanduser() / ".cache")
    return Path(cache) / "labcli" / "completion.json"


def sources_mark() -> str:
    """Return a text that changes with the sources from which the index is made."""
    package = Path(__file__).parent
    core = package.parent / "core"
    recipes = package.parent / "runs" / "recipes"
    roots = (package / "commands", package / "flags", core / "settings", recipes)
    stats = [path.stat() for root in roots for path in _tree(root)]
    stats += [(package / "root.py").stat(), (package / "options.py").stat()]
    stats.append((core / "config.py").stat())
    newest = max(status.st_mtime_ns for status in stats)
    return (
        f"{package} {sys.version_info[:2]} {len(stats)} {newest:x} {sum(s.st_size for s in stats)}"
    )


def _tree(root: Path) -> Iterable[Path]:
    return (path for path in root.rglob("*") if path.suffix in (".py", ".toml"))


def _bash_cut(part: str, breaks: str) -> int:
    """Return how much of a word bash keeps: it replaces what follows the last break in it."""
    return max((part.rfind(char) + 1 for char in breaks if char in part), default=0)


def main(env: Mapping[str, str]) -> int:
    """Write the answer to stdout; a person in the middle of a line gets no error."""
    try:
        text = answer(env)
    except Exception:  # whatever it was, the terminal is not the place for it
        return 1
    sys.stdout.write(text + "\n" if text else "")
    return 0

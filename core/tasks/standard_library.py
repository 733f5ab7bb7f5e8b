"""Questions about Python's standard library, answered with its own first sentences. Torch-free."""

from __future__ import annotations

import builtins
import inspect
import itertools
import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from core.data.harvest import read_text
from core.data.prose import paragraphs
from core.tasks.exchange import Exchange, choose, fill, text

NAME = "library"
MAX_ANSWER_CHARS = 120
MAX_NAME_CHARS = 32

# Dotted name -> file below the standard library's directory.
MODULES: Mapping[str, str] = {
    "argparse": "argparse.py",
    "base64": "base64.py",
    "bisect": "bisect.py",
    "calendar": "calendar.py",
    "collections": "collections/__init__.py",
    "contextlib": "contextlib.py",
    "copy": "copy.py",
    "csv": "csv.py",
    "datetime": "datetime.py",
    "difflib": "difflib.py",
    "fileinput": "fileinput.py",
    "fnmatch": "fnmatch.py",
    "fractions": "fractions.py",
    "functools": "functools.py",
    "glob": "glob.py",
    "gzip": "gzip.py",
    "heapq": "heapq.py",
    "html": "html/__init__.py",
    "inspect": "inspect.py",
    "ipaddress": "ipaddress.py",
    "json": "json/__init__.py",
    "keyword": "keyword.py",
    "linecache": "linecache.py",
    "logging": "logging/__init__.py",
    "mimetypes": "mimetypes.py",
    "os": "os.py",
    "os.path": "posixpath.py",
    "pathlib": "pathlib.py",
    "pickle": "pickle.py",
    "platform": "platform.py",
    "pprint": "pprint.py",
    "queue": "queue.py",
    "random": "random.py",
    "re": "re/__init__.py",
    "sched": "sched.py",
    "secrets": "secrets.py",
    "shelve": "shelve.py",
    "shlex": "shlex.py",
    "shutil": "shutil.py",
    "socket": "socket.py",
    "statistics": "statistics.py",
    "string": "string.py",
    "subprocess": "subprocess.py",
    "tarfile": "tarfile.py",
    "tempfile": "tempfile.py",
    "textwrap": "textwrap.py",
    "threading": "threading.py",
    "timeit": "timeit.py",
    "tokenize": "tokenize.py",
    "traceback": "traceback.py",
    "types": "types.py",
    "urllib.parse": "urllib/parse.py",
    "urllib.request": "urllib/request.py",
    "uuid": "uuid.py",
    "warnings": "warnings.py",
    "weakref": "weakref.py",
    "zipfile": "zipfile.py",
}
# Compiled, so their texts are read from the objects themselves.
COMPILED: Mapping[str, object] = {
    "": builtins,
    "itertools": itertools,
    "math": math,
    "time": time,
    "str": str,
    "list": list,
    "dict": dict,
    "set": set,
    "bytes": bytes,
}

_MANUAL = "pydoc_data/topics.py"
NUM_COMMON = 2
QUESTIONS = (
    "What does {name} do?",
    "What is {name} for?",
    "Explain {name}.",
    "Tell me about {name}.",
    "What can you say about {name}?",
    "When do I use {name}?",
    "Describe {name} in one sentence.",
    "what does {name} do",
)

_SENTENCE = re.compile(r".+?[.!?](?=\s[A-Z`(]|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What the documentation says first about a name."""

    name: str
    sentence: str


def library_facts(stdlib: Path) -> tuple[Fact, ...]:
    """Return what the standard library says about its public names, sorted by name."""
    found: dict[str, str] = {}
    for module, file in MODULES.items():
        path = stdlib / file
        if path.is_file():
            found.update(_from_source(module, path.read_text(encoding="utf-8")))
    for prefix, owner in COMPILED.items():
        found.update(_from_objects(prefix, owner))
    names = sorted(name for name in found if len(name) <= MAX_NAME_CHARS)
    return tuple(Fact(name=name, sentence=found[name]) for name in names)


def manual(stdlib: Path) -> Iterator[str]:
    """Yield the prose of the language's manual, which Python's own help shows."""
    path = stdlib / _MANUAL
    if path.is_file():
        for block in read_text(path.read_text(encoding="utf-8"), label=_MANUAL):
            yield from block.paragraphs


def generate(rng: Random, fact: Fact, *, variety: float) -> Exchange:
    """Return a question about a name, with the sentence that documents it."""
    form = choose(rng, QUESTIONS, num_common=NUM_COMMON, variety=variety)
    return Exchange(question=fill(form, {"name": fact.name}), reply=(text(fact.sentence),))


def fixed_texts(facts: Iterable[Fact]) -> Iterator[str]:
    """Yield everything that may be said here."""
    yield from QUESTIONS
    for fact in facts:
        yield from (fact.name, fact.sentence)


def _from_source(module: str, source: str) -> Iterator[tuple[str, str]]:
    for block in read_text(source, label=f"{module}.py"):
        sentence = _first_sentence(block.paragraphs[0])
        if block.heading is not None and sentence is not None:
            yield f"{module}.{block.heading}", sentence


def _from_objects(prefix: str, owner: object) -> Iterator[tuple[str, str]]:
    for name in sorted(vars(owner)):
        member = getattr(owner, name)
        is_known = inspect.isroutine(member) or inspect.isclass(member)
        if name.startswith("_") or not is_known:
            continue
        kept = paragraphs(inspect.getdoc(member) or "")
        sentence = _first_sentence(kept[0]) if kept else None
        if sentence is not None:
            yield f"{prefix}.{name}".lstrip("."), sentence


def _first_sentence(paragraph: str) -> str | None:
    match = _SENTENCE.match(paragraph)
    if match is None or paragraph.startswith("`") or "->" in paragraph:
        return None
    return match.group() if len(match.group()) <= MAX_ANSWER_CHARS else None

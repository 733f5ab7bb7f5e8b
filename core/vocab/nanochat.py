"""nanochat's tokenizer directory: tokenizer.pkl, read without unpickling it. Torch-free.

A pickle is a program, and a hostile one runs commands or fills the memory. The file that nanochat
writes needs a few instructions only: they build one tiktoken.Encoding out of texts, bytes, numbers
and dictionaries. This module carries out those, on plain data, and refuses every other one.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from core.vocab.imported import Imported, adopt
from core.vocab.patterns import pattern_of
from runs.errors import Corrupt, LabError, UsageError

PICKLE_NAME = "tokenizer.pkl"
TOKEN_BYTES_NAME = "token_bytes.pt"
ENCODING = "tiktoken.core Encoding"

_Key = TypeVar("_Key", bytes, str)


@dataclass(frozen=True, slots=True)
class _Global:
    """The name of something that the pickle would import; it is never imported."""

    name: str


class _Mark:
    """Where a group of items on the stack begins."""


class _Object:
    """The Encoding in the making; `state` is what it would be built from."""

    state: object = None


def read_nanochat(path: Path, content: bytes, *, pattern: str | None = None) -> Imported:
    """Return the tokenizer in nanochat's tokenizer.pkl; `pattern` replaces the one in the file.

    Raises:
        Corrupt: it is something else than a pickled tiktoken.Encoding, or damaged.
    """
    name = path.name
    try:
        state = _state_of(content)
    except ValueError as error:
        raise Corrupt(f"{path} is not a pickled tiktoken.Encoding: {error}") from None
    if isinstance(state, str):
        raise UsageError(
            f"{path} only names the encoding {state!r}, which every tiktoken knows; use that name"
        )
    ranks, found, specials = _fields(state, path)
    try:
        chosen = pattern_of(found if pattern is None else pattern)
    except LabError as error:
        if pattern is None:
            raise Corrupt(f"{path}: {error}") from None
        raise
    return adopt(ranks, pattern=chosen, form="nanochat", name=name, specials=specials)


def _fields(state: object, path: Path) -> tuple[dict[bytes, int], str, dict[str, int]]:
    if not isinstance(state, dict):
        raise Corrupt(f"{path} holds an encoding without its fields")
    ranks, specials = state.get("mergeable_ranks"), state.get("special_tokens")
    pattern = state.get("pat_str")
    if not (_maps_to_ids(ranks, bytes) and _maps_to_ids(specials, str)):
        raise Corrupt(f"{path}: its mergeable_ranks or special_tokens do not map to ids")
    if not isinstance(pattern, str):
        raise Corrupt(f"{path}: its pat_str is not a text")
    return ranks, pattern, specials


def _maps_to_ids(table: object, key: type[_Key]) -> TypeGuard[dict[_Key, int]]:
    return isinstance(table, dict) and all(
        type(name) is key and type(index) is int and index >= 0 for name, index in table.items()
    )


def _state_of(content: bytes) -> object:
    """Return what the pickled Encoding would be built from; raise ValueError otherwise."""
    reader = _Reader()
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "STOP":
            return reader.result()
        reader.step(opcode.name, argument)
    raise ValueError("it ends too early")


class _Reader:
    """The part of the pickle machine that an Encoding needs."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._steps: Mapping[str, Callable[[Any], None]] = {
            **dict.fromkeys(("PROTO", "FRAME"), lambda argument: None),
            **dict.fromkeys(
                (
                    "SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES",
                    "BININT", "BININT1", "BININT2", "LONG1",
                ),
                self._stack.append,
            ),
            "EMPTY_DICT": lambda argument: self._stack.append({}),
            "EMPTY_TUPLE": lambda argument: self._stack.append(()),
            "MARK": lambda argument: self._stack.append(_Mark),
            "MEMOIZE": lambda argument: self._put(len(self._memo)),
            "BINPUT": self._put,
            "LONG_BINPUT": self._put,
            "BINGET": self._get,
            "LONG_BINGET": self._get,
            "GLOBAL": self._global,
            "STACK_GLOBAL": self._stack_global,
            "NEWOBJ": self._new_object,
            "SETITEM": lambda argument: self._set_items([self._pop(), self._pop()][::-1]),
            "SETITEMS": lambda argument: self._set_items(self._pop_to_mark()),
            "BUILD": self._build,
        }  # fmt: skip

    def step(self, name: str, argument: object) -> None:
        """Carry out one instruction."""
        if name not in self._steps:
            raise ValueError(f"the instruction {name} has no place in one")
        self._steps[name](argument)

    def result(self) -> object:
        """Return the state of the one object that is left."""
        if len(self._stack) != 1 or not isinstance(self._stack[0], _Object):
            raise ValueError("it holds something else")
        return self._stack[0].state

    def _top(self) -> Any:
        if not self._stack:
            raise ValueError("an instruction finds nothing to work on")
        return self._stack[-1]

    def _pop(self) -> Any:
        top = self._top()
        self._stack.pop()
        return top

    def _pop_to_mark(self) -> list[Any]:
        items = []
        while (item := self._pop()) is not _Mark:
            items.append(item)
        return items[::-1]

    def _put(self, index: int) -> None:
        self._memo[index] = self._top()

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise ValueError("it refers to what is not there")
        self._stack.append(self._memo[index])

    def _global(self, name: str) -> None:
        if name != ENCODING:
            raise ValueError(f"it wants to import {name.replace(' ', '.')!r}, which is forbidden")
        self._stack.append(_Global(name))

    def _stack_global(self, argument: None) -> None:
        name, module = self._pop(), self._pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise ValueError("it imports something without a name")
        self._global(f"{module} {name}")

    def _new_object(self, argument: None) -> None:
        arguments, kind = self._pop(), self._pop()
        if arguments != () or not isinstance(kind, _Global):
            raise ValueError("it makes an object of no known kind")
        self._stack.append(_Object())

    def _set_items(self, items: list[Any]) -> None:
        table = self._top()
        keys, values = items[::2], items[1::2]
        # Plain keys only: hashing a deep nest of tuples would overrun the C stack.
        if not isinstance(table, dict) or len(keys) != len(values):
            raise ValueError("it sets items of no dictionary")
        if not all(type(key) in (str, bytes) for key in keys):
            raise ValueError("a key is neither a text nor bytes")
        table.update(zip(keys, values, strict=True))

    def _build(self, argument: None) -> None:
        state, target = self._pop(), self._top()
        if not isinstance(target, _Object):
            raise ValueError("it builds something else")
        target.state = state

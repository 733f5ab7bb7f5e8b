"""A stand-in for the rest of wandb: accepts any use and does nothing."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any


class _AnyAttribute(type):
    """Lets a class that does nothing have every attribute, as `wandb.Some.CONSTANT` needs."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing()


class Nothing(metaclass=_AnyAttribute):
    """Callable, iterable, a context manager and a base class; every attribute is another one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # As a decorator it hands back what it decorates.
        if len(args) == 1 and not kwargs and callable(args[0]):
            return args[0]
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing()

    def __getitem__(self, key: Any) -> Any:
        return Nothing()

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def __repr__(self) -> str:
        return "<wandb, as labcli stands in for it>"


def empty_class(name: str) -> type:
    """Return a class of this name whose instances do nothing."""
    return _AnyAttribute(name, (Nothing,), {})


class _EmptyModule(ModuleType):
    """A submodule in which every public name is a class that does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return empty_class(name)


class EmptyModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every submodule of wandb, so that `from wandb.sdk import x` does not fail."""

    def __init__(self, package: str) -> None:
        self._prefix = f"{package}."

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where a submodule comes from: nowhere, which is here."""
        if not fullname.startswith(self._prefix):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Return the empty module."""
        return _EmptyModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: there is no code."""


def stand_in_for_submodules(package: str) -> None:
    """Let every submodule of `package` that does not exist be an empty one."""
    if not any(isinstance(finder, EmptyModules) for finder in sys.meta_path):
        # Last of all: our own submodules are found first.
        sys.meta_path.append(EmptyModules(package))

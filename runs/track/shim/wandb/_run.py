"""A run as a script sees it: log, config and summary; everything else is accepted and ignored."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from ._nothing import Nothing
from ._sink import SINK
from ._values import jsonable, numbers, take_step

_SUMMARY_EVERY_S = 1.0


class Settings(dict[str, Any]):
    """Config or summary: a mapping whose keys are attributes too; each change is kept."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self.__dict__["_changed"] = changed

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self.__dict__["_changed"]()

    def update(self, *others: Any, **more: Any) -> None:
        """Take over a mapping, a namespace of argparse, or anything else with attributes."""
        for other in others:
            super().update(as_mapping(other))
        more.pop("allow_val_change", None)
        super().update(more)
        self.__dict__["_changed"]()

    def setdefaults(self, other: Any) -> None:
        """Take over what is not set yet."""
        for key, value in as_mapping(other).items():
            self.setdefault(key, value)
        self.__dict__["_changed"]()

    def as_dict(self) -> dict[str, Any]:
        """Return a plain dict."""
        return dict(self)


class Run:
    """One `wandb.init`; a script that calls it again goes on in the same run of ours."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self._lock = threading.Lock()
        self._said = dict(said)
        self._next_step = 0
        self._pending: tuple[int, dict[str, float]] | None = None
        self._is_saying = False
        self._said_s = 0.0
        self.config = Settings(self._changed)
        self.summary = Settings(self._summary_changed)
        self.id = os.environ.get("LABCLI_RUN", "untracked").lower()
        self.name = str(said.get("name") or self.id)
        self.project = str(said.get("project") or "uncategorized")
        self.entity = ""
        self.group = said.get("group") or ""
        self.job_type = said.get("job_type") or ""
        self.tags = tuple(map(str, said.get("tags") or ()))
        self.notes = said.get("notes") or ""
        self.url = None
        self.dir = os.getcwd()  # noqa: PTH109 (scripts join it with text)
        self.path = f"{self.project}/{self.id}"
        self.offline = True
        self.disabled = False
        self.resumed = False
        self.sweep_id = None

    @property
    def step(self) -> int:
        """The step that the next call without one belongs to."""
        return self._next_step

    def log(
        self,
        data: Any,
        step: Any = None,
        commit: bool | None = None,
        sync: Any = None,
        **ignored: Any,
    ) -> None:
        """Keep the numbers of `data` at a step: the argument, else one in `data`, else a count."""
        try:
            self._log(data, step, commit)
        except Exception as error:  # nothing that is logged may end a training
            SINK.complain(f"{type(error).__name__}: {error}")

    def _log(self, data: Any, step: Any, commit: bool | None) -> None:
        found = numbers(data)
        with self._lock:
            at = self._step_of(found, step)
            held = {}
            if self._pending is not None and self._pending[0] == at:
                held = self._pending[1]
            self._pending = None
            if commit is False:
                self._pending = (at, {**held, **found})
                return
            # A call that names its step may be followed by others for the same step.
            self._next_step = max(self._next_step, at + (1 if step is None else 0))
        dict.update(self.summary, found)
        SINK.steps(at, {**held, **found})

    def _step_of(self, found: dict[str, float], step: Any) -> int:
        if step is not None:
            return max(0, int(step))
        named = take_step(found)
        return self._next_step if named is None else named

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """Write what waits for a commit, and the summary."""
        try:
            with self._lock:
                pending, self._pending = self._pending, None
            if pending is not None:
                SINK.steps(*pending)
            self._changed()
        except Exception as error:  # as above
            SINK.complain(f"{type(error).__name__}: {error}")

    def alert(self, title: Any = "", text: Any = "", level: Any = "WARN", **ignored: Any) -> None:
        """Raise an alert, which the dashboard shows."""
        name = getattr(level, "name", None) or str(level)
        SINK.alert(str(title), str(text), str(name))

    def watch(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: gradients are not logged by themselves."""

    def _summary_changed(self) -> None:
        # A script may set it in every step; the end writes what is left out here.
        if time.monotonic() - self._said_s >= _SUMMARY_EVERY_S:
            self._changed()

    def _changed(self) -> None:
        if self._is_saying:
            return
        self._is_saying = True
        self._said_s = time.monotonic()
        try:
            body = {
                **{key: jsonable(value) for key, value in self._said.items()},
                "config": jsonable(self.config),
                "summary": jsonable(self.summary),
            }
            SINK.say(body)
        except Exception as error:  # as above
            SINK.complain(f"{type(error).__name__}: {error}")
        finally:
            self._is_saying = False

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exc: object) -> None:
        self.finish()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing()


def as_mapping(value: Any) -> dict[str, Any]:
    """Return a config as a dict: a mapping, or what has attributes, such as argparse's."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if hasattr(value, "__dict__"):
        return dict(vars(value))
    return {}

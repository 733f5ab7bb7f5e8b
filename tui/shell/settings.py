"""The settings of the app in the lab home's tui.toml: the theme, the keys, whether it was toured.

    theme = "lab-clear"
    toured = true

    [keys]
    "run.stop" = "ctrl+k"

A value that cannot be used leaves its default, and is named in one line. No widgets here.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runs.errors import nearest
from runs.files import write_atomic
from runs.paths import LabHome
from tui.shell.themes import LAB_DARK, THEME_NAMES

FILE_NAME = "tui.toml"
_KNOWN = ("theme", "toured", "keys")
_TABLE = re.compile(r"^\s*\[", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a person has chosen; `keys` are key names, comma-separated, by the id of a binding."""

    theme: str = LAB_DARK.name
    toured: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """Settings and what was wrong with the file, in one line; empty when nothing was."""

    settings: Settings = field(default_factory=Settings)
    problem: str = ""


def settings_path(home: LabHome) -> Path:
    """Return the file of the settings."""
    return home.root / FILE_NAME


def load_settings(path: Path) -> LoadedSettings:
    """Return the settings in a file; one that is not there or cannot be used gives defaults."""
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return LoadedSettings()
    except (OSError, ValueError) as error:
        return LoadedSettings(
            settings=Settings(toured=True),
            problem=f"{path} is left aside, and the defaults hold: {error}",
        )
    return _parse(path, body)


def with_value(text: str, key: str, value: str | bool) -> str:
    """Return a settings file with one top-level value set; the rest stays as it is written."""
    line = f"{key} = {json.dumps(value)}"
    table = _TABLE.search(text)
    place = table.start() if table else len(text)
    head, tail = text[:place], text[place:]
    head, num_replaced = re.subn(
        rf"^{re.escape(key)}\s*=.*$", lambda _: line, head, flags=re.MULTILINE
    )
    if not num_replaced:
        head = f"{line}\n{head}"
    return head + tail


def save_value(path: Path, key: str, value: str | bool) -> None:
    """Set one value in the file, unless the file cannot be read as settings.

    Raises:
        OSError: it cannot be written.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tomllib.loads(text)
    except FileNotFoundError:
        text = ""
    except ValueError:
        return
    changed = with_value(text, key, value)
    tomllib.loads(changed)
    write_atomic(path, changed.encode())


def _parse(path: Path, body: Mapping[str, Any]) -> LoadedSettings:
    problems = [f"unknown {key!r}{nearest(key, _KNOWN)}" for key in body if key not in _KNOWN]
    values: dict[str, Any] = {}
    theme = body.get("theme")
    if isinstance(theme, str) and theme in THEME_NAMES:
        values["theme"] = theme
    elif theme is not None:
        problems.append(f"no theme {theme!r}{nearest(str(theme), THEME_NAMES)}")
    toured = body.get("toured")
    if isinstance(toured, bool):
        values["toured"] = toured
    elif toured is not None:
        problems.append(f"toured is true or false, not {toured!r}")
    keys = body.get("keys", {})
    if isinstance(keys, dict) and all(isinstance(key, str) and key for key in keys.values()):
        values["keys"] = keys
    else:
        problems.append('keys is a table such as "run.stop" = "ctrl+k"')
    told = f"{path}: {'; '.join(problems)}; the defaults hold there" if problems else ""
    return LoadedSettings(settings=Settings(**values), problem=told)

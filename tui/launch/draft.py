"""What a person has filled in so far, and the command line that it stands for. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.planning.request import STAGES_RECIPE

YES, NO = "yes", "no"
# The options of `labcli run`, in the order in which they are written.
OPTIONS: Mapping[str, str] = {
    "preset": "--preset",
    "from": "--from",
    "only": "--only",
    "until": "--until",
    "seed": "--seed",
    "name": "--name",
    "tags": "--tag",
    "note": "--note",
    "max_usd": "--max-usd",
    "max_hours": "--max-hours",
    "usd_per_hour": "--usd-per-hour",
    "nproc": "--nproc",
    "retries": "--retries",
    "on_stall": "--on-stall",
    "needed": "--needed",
    "queue": "--queue",
    "priority": "--priority",
}
SWITCHES = frozenset({"needed", "queue"})
RECIPE = "recipe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The texts that differ from the defaults, by key: "recipe", "name", or "base.depth"."""

    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """The recipe, recipe file or stage."""
        return self.texts.get(RECIPE, STAGES_RECIPE)

    @property
    def settings(self) -> dict[str, str]:
        """The changed settings of stages, by "stage.key"."""
        return {key: text for key, text in self.texts.items() if "." in key}

    @property
    def overrides(self) -> tuple[str, ...]:
        """The changed settings as `--set` takes them."""
        return tuple(f"{key}={text}" for key, text in self.settings.items())

    def get(self, key: str) -> str | None:
        """Return the text of a key, or None for its default."""
        return self.texts.get(key) or None

    def is_on(self, switch: str) -> bool:
        """Return whether a switch is set."""
        return self.texts.get(switch) == YES

    def with_text(self, key: str, text: str, default: str) -> Draft:
        """Return the draft with another text; that of the default is no change."""
        texts = dict(self.texts)
        # An empty field of a stage stands for nothing that `--set` could take.
        if text == default or not text:
            texts.pop(key, None)
        else:
            texts[key] = text
        return replace(self, texts=texts)

    def without(self, key: str) -> Draft:
        """Return the draft with the default of a key."""
        return replace(self, texts={name: text for name, text in self.texts.items() if name != key})


def run_words(draft: Draft) -> tuple[str, ...]:
    """Return the words of `labcli run` that a draft stands for, after "run"."""
    words = [draft.what]
    for key, option in OPTIONS.items():
        text = draft.texts.get(key)
        if text is None:
            continue
        if key in SWITCHES:
            words += [option] if text == YES else []
        elif key == "tags":
            words += [word for tag in split_tags(text) for word in (option, tag)]
        else:
            words += [option, text]
    for override in draft.overrides:
        words += ["--set", override]
    return tuple(words)


def command_line(words: Sequence[str], home: Path | None) -> str:
    """Return what a person would type, in one line; without a home, the usual one is meant."""
    before = [] if home is None else ["--home", str(home)]
    return shlex.join(["labcli", *before, "run", *words])


def split_tags(text: str) -> list[str]:
    """Return the tags of a field, which spaces or commas part."""
    return text.replace(",", " ").split()

"""A new self-chat: what a person asks for, checked, and the command that starts it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass

from core.config import build_stage_config
from core.experiments.selfchat.archive import STAGE
from core.experiments.selfchat.topics import built_in_topics
from core.settings.experiments import SelfchatConfig
from runs.errors import LabError, UsageError
from runs.paths import LabHome

TOPIC_BORDER = "|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A self-chat as it was typed; topics: none stand for the built-in ones."""

    models: tuple[str, ...]
    temperatures: str = "0.6,1.0"
    top_ks: str = "50"
    turns: str = "6"
    seeds: str = "4"
    topics: tuple[str, ...] = ()
    is_timeline: bool = False
    name: str = ""

    def config(self) -> SelfchatConfig:
        """Return its settings, or raise UsageError."""
        if not self.models:
            raise UsageError("choose a model that talks")
        values = {
            "temperatures": self.temperatures,
            "top_ks": self.top_ks,
            "turns": self.turns,
            "num_seeds": self.seeds,
        }
        config = build_stage_config(STAGE, values)
        assert isinstance(config, SelfchatConfig)
        return config

    def size(self) -> str:
        """Return how much will be said at most, in a few words."""
        config = self.config()
        settings = len(config.temperatures) * len(config.top_ks)
        topics = len(self.topics or built_in_topics())
        talks = settings * topics * config.num_seeds
        each = " for every checkpoint" if self.is_timeline else ""
        return (
            f"{settings} settings x {topics} topics x {config.num_seeds} seeds: "
            f"{talks} conversations, at most {talks * config.turns} turns{each}"
        )

    def argv(self, home: LabHome) -> list[str]:
        """Return the command that starts it and leaves it in the background."""
        words = [sys.executable, "-P", "-m", "labcli.app", STAGE, "--detach", "--json"]
        words += ["--home", str(home.root)]
        for option, value in (
            ("--temperature", self.temperatures), ("--top-k", self.top_ks),
            ("--turns", self.turns), ("--seeds", self.seeds),
        ):  # fmt: skip
            words += [option, value]
        for model in self.models:
            words += ["--model", model]
        for topic in self.topics:
            words += ["--topic", topic]
        words += ["--every-checkpoint"] if self.is_timeline else []
        return words + (["--name", self.name] if self.name else [])


def topics_of(text: str) -> tuple[str, ...]:
    """Return what stands between the borders of a line."""
    return tuple(part.strip() for part in text.split(TOPIC_BORDER) if part.strip())


async def start(wanted: Wanted, home: LabHome) -> str:
    """Start it as a run of its own, which outlives this process, and return the run's id.

    Raises:
        LabError: the command refused; the message is its own.
    """
    process = await asyncio.create_subprocess_exec(
        *wanted.argv(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=home.root,
        start_new_session=True,
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise LabError(last_words(err.decode("utf-8", "replace"), process.returncode))
    run_id: str = json.loads(out)["run_id"]
    return run_id


def last_words(err: str, code: int | None) -> str:
    """Return the last line that a command wrote, without who wrote it."""
    lines = [line for line in err.splitlines() if line.strip()]
    said = lines[-1].removeprefix("labcli: error: ") if lines else ""
    return said or f"labcli {STAGE} ended with code {code}"

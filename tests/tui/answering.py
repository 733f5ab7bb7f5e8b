"""A lab home with two tiny models, one that never ends and one base model, for screens that ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runs.paths import LabHome
from tests.builders import artifact, build_run
from tests.engine.builders import TOKENIZER, random_model, save_checkpoint, tiny_config
from tui.chunks import Ask
from tui.sampling import TalkSettings

ENDLESS, OTHER, BASE = "tiny:mid", "tiny:sft", "tiny:base"


def build_lab(root: Path) -> LabHome:
    """Return a home with a base, a mid and an sft model; greedy answers of mid never end."""
    home = LabHome(root)
    built = build_run(home, stages=("tok", "base", "mid", "sft"), name="tiny")
    TOKENIZER.save(built.paths.artifacts_dir("tok") / "tokenizer.json")
    for seed, stage in ((1, "base"), (2, "mid"), (3, "sft")):
        model = random_model(tiny_config(), seed)
        save_checkpoint(built.paths.checkpoints_dir(stage), model, TOKENIZER, stage)
    built.finish("tok", artifact("tokenizer", "artifacts/tok/tokenizer.json"))
    for stage in ("base", "mid", "sft"):
        built.finish(stage)
    return home


def ask(model: str = ENDLESS, text: str = "hello", **settings: Any) -> Ask:
    """Return a question without randomness."""
    drawn = TalkSettings(**{"temperature": 0.0, "max_new_tokens": 8, **settings})
    messages = [{"role": "user", "content": text}]
    return Ask(model=model, is_base=False, messages=messages, settings=drawn)

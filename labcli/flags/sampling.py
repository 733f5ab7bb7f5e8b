"""Options of the commands that let a model speak."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from labcli.options import optional
from labcli.speaking.speaker import Speaker, load_speaker
from runs.errors import UsageError
from runs.refs import ResolvedCheckpoint
from tui.answering.sampling import TalkSettings

Weights = Literal["native", "bfloat16", "int8"]
DRAWN_TEMPERATURE = 0.6
MAX_NEW_SEED = 2**31
MAX_SEED = 2**62

DeviceOption = Annotated[
    str | None,
    optional("--device", "NAME", "Run on cpu, cuda, cuda:N or mps; default: a CUDA GPU or cpu."),
]
MinPOption = Annotated[
    float | None,
    optional(
        "--min-p",
        "P",
        "Drop tokens below this share of the likeliest one's probability.",
        min=0.0,
        max=1.0,
    ),
]
PenaltyOption = Annotated[
    float,
    typer.Option(
        "--repetition-penalty", metavar="X", help="Make what was said less likely; 1 does nothing."
    ),
]
WeightsOption = Annotated[
    str,
    typer.Option(
        "--weights",
        metavar="native|bf16|int8",
        help="Compute with the model's own weights, or with smaller ones.",
    ),
]
_WEIGHTS: Mapping[str, Weights] = {
    "native": "native",
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
    "int8": "int8",
}


def weight_type(text: str) -> Weights:
    """Return what --weights asks for.

    Raises:
        UsageError: it names no type.
    """
    if text not in _WEIGHTS:
        raise UsageError(f"--weights is native, bf16 or int8, not {text!r}")
    return _WEIGHTS[text]


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingOptions:
    """How answers are drawn, apart from the temperature, which each command reads its own way."""

    top_k: Annotated[
        int, typer.Option("--top-k", min=1, metavar="K", help="Draw from the K likeliest tokens.")
    ] = 50
    top_p: Annotated[
        float | None,
        optional(
            "--top-p",
            "P",
            "Draw from the likeliest tokens that hold this share of probability.",
            min=0.0,
            max=1.0,
        ),
    ] = None
    min_p: MinPOption = None
    repetition_penalty: PenaltyOption = 1.0
    seed: Annotated[
        int | None,
        optional(
            "--seed",
            "N",
            "Repeat the answers of an earlier talk; default: new ones each time.",
            min=0,
        ),
    ] = None
    max_new_tokens: Annotated[
        int,
        typer.Option("--max-new-tokens", min=1, metavar="N", help="End an answer after N tokens."),
    ] = 256

    def settings(self, temperature: float) -> TalkSettings:
        """Return the settings of answers, with a seed drawn where none was asked for.

        Raises:
            UsageError: a value is out of its range.
        """
        if self.seed is not None and self.seed > MAX_SEED:
            raise UsageError(f"--seed is at most 2**62, not {self.seed}")
        return TalkSettings(
            temperature=temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            seed=secrets.randbelow(MAX_NEW_SEED) if self.seed is None else self.seed,
            max_new_tokens=self.max_new_tokens,
        ).changed()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """Where a model computes, and with which weights."""

    device: DeviceOption = None
    weights: WeightsOption = "native"

    def __post_init__(self) -> None:
        """Refuse a type of weights that there is not, before anything is looked for."""
        weight_type(self.weights)

    def load(
        self, found: ResolvedCheckpoint, *, max_rows: int, is_deterministic: bool = False
    ) -> Speaker:
        """Return the model of a checkpoint, ready to answer.

        Raises:
            UsageError: there is no such device or type of weights.
        """
        kind = weight_type(self.weights)
        return load_speaker(
            found,
            self.device,
            max_rows=max_rows,
            weights=kind,
            is_deterministic=is_deterministic,
        )

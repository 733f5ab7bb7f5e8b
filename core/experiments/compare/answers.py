"""What a comparison asks and what it leaves behind: answers, times, and figures of both.

Answers are JSON, one per line, in the order of `make_cells`; times lie apart from them, so that
the answers of equal runs are equal byte for byte. Torch-free: whoever draws or exports a
comparison reads it through this module.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any, Literal

from core.settings.experiments import CompareConfig
from runs.errors import Corrupt
from runs.statistics import Estimate, mean_interval

ANSWERS_FILE = "answers.jsonl"
TIMES_FILE = "times.jsonl"
PAIRS_FILE = "pairs.jsonl"
RESULTS_FILE = "results.json"
ASKED_FILE = "asked.json"
NUM_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The models by key, such as "a", with the names to show; and the prompts."""

    models: Mapping[str, str]
    prompts: tuple[str, ...]

    def to_json(self) -> str:
        """Return the file that the stage is given."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One answer to be given: which model, asked what, drawn how."""

    key: str
    temperature: float
    seed: int
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. The columns ids, is_forced and the two in nats are equally long.

    ids: every token, the one that ended the answer included; is_forced: those that a tool wrote.
    entropy and surprisal are of the model's own distribution at temperature 1.
    shown: the text with tool calls, as people read it; text is without them.
    """

    cell: Cell
    text: str
    shown: str
    finish: Literal["stop", "length"]
    num_prompt_tokens: int
    ids: tuple[int, ...]
    is_forced: tuple[bool, ...]
    entropy_nats: tuple[float, ...]
    surprisal_nats: tuple[float, ...]

    @property
    def mean_entropy_bits(self) -> float | None:
        """Mean entropy where the model chose the token itself; None where it chose none."""
        own = [e for e, forced in zip(self.entropy_nats, self.is_forced, strict=True) if not forced]
        return fmean(own) / math.log(2) if own else None

    def to_line(self, name: str) -> bytes:
        """Return the answer as a line of the answers file; `name` is its model's."""
        body = asdict(self)
        row = {"v": 1, "model": name, **body.pop("cell"), **body}
        for column in ("entropy_nats", "surprisal_nats"):
            row[column] = [round(value, NUM_DIGITS) for value in row[column]]
        return json.dumps(row, ensure_ascii=False).encode("utf-8", errors="replace") + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds from the start of an answer's batch to its first and to its last token."""

    ttft_s: float
    last_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All answers of one model at one temperature.

    tok_per_sec: tokens of an answer after its first one, in batches, all answers together; None
    where no answer has two tokens. entropy_bits: over the answers' means.
    """

    key: str
    temperature: float
    num_answers: int
    num_ended: int
    num_tokens: int
    mean_tokens: float
    tok_per_sec: float | None
    median_ttft_s: float
    entropy_bits: Estimate | None


def read_asked(path: Path) -> Asked:
    """Return what a comparison was asked, or raise Corrupt."""
    try:
        body = json.loads(path.read_bytes())
        return Asked(models=dict(body["models"]), prompts=tuple(map(str, body["prompts"])))
    except (OSError, ValueError, KeyError, TypeError):
        raise Corrupt(f"{path} does not say what to compare; start the comparison again") from None


def make_cells(config: CompareConfig, asked: Asked) -> list[Cell]:
    """Return every answer to be given: by model, temperature, seed and prompt."""
    return [
        Cell(key=key, temperature=temperature, seed=config.seed + number, prompt=prompt)
        for key in asked.models
        for temperature in config.temperatures
        for number in range(config.num_answers)
        for prompt in asked.prompts
    ]


def read_answers(path: Path) -> list[Answer]:
    """Return the answers in a file, up to a last line that is not whole.

    Raises:
        Corrupt: another line is no answer.
    """
    return [_parse_answer(path, number, row) for number, row in _rows(path)]


def read_times(path: Path) -> list[Times]:
    """Return the times in a file, up to a last line that is not whole, or raise Corrupt."""
    try:
        return [Times(ttft_s=row["ttft_s"], last_s=row["last_s"]) for _, row in _rows(path)]
    except (KeyError, TypeError):
        raise Corrupt(f"{path} holds a line without times; start the comparison again") from None


def figures_of(answers: Sequence[Answer], times: Sequence[Times]) -> list[Figures]:
    """Return the figures of every model and temperature, in the order of the answers."""
    groups: dict[tuple[str, float], list[tuple[Answer, Times]]] = {}
    for answer, taken in zip(answers, times, strict=True):
        groups.setdefault((answer.cell.key, answer.cell.temperature), []).append((answer, taken))
    return [_figures(key, temperature, own) for (key, temperature), own in groups.items()]


def figures_row(figures: Figures, names: Mapping[str, str]) -> dict[str, Any]:
    """Return figures as JSON states them."""
    return {"model": names[figures.key], **asdict(figures)}


def pair_groups(
    rows: Iterable[Mapping[str, Any]], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return, for every two models at each temperature, the means over pairs of one seed.

    rows: those of the pairs file. Means of divergence are in bits, over the pairs that have one.
    """
    groups: dict[tuple[str, str, float], list[Mapping[str, Any]]] = {}
    for row in rows:
        a, b = row["a"], row["b"]
        if a["key"] != b["key"] and (a["temperature"], a["seed"]) == (b["temperature"], b["seed"]):
            groups.setdefault((a["key"], b["key"], a["temperature"]), []).append(row)
    return [
        {
            "a": a,
            "b": b,
            "models": [names[a], names[b]],
            "temperature": temperature,
            "num_pairs": len(own),
            "num_same_text": sum(row["text_differs_at"] is None for row in own),
            "mean_shared_tokens": _mean(row.get("shared_tokens") for row in own),
            **{
                f"mean_{name}_bits": _mean(
                    (row["divergence"] or {}).get(f"mean_{name}_bits") for row in own
                )
                for name in ("kl_ab", "kl_ba", "js")
            },
        }
        for (a, b, temperature), own in groups.items()
    ]


def _figures(key: str, temperature: float, own: Sequence[tuple[Answer, Times]]) -> Figures:
    counts = [len(answer.ids) for answer, _ in own]
    later_s = sum(taken.last_s - taken.ttft_s for _, taken in own)
    entropies = [bits for answer, _ in own if (bits := answer.mean_entropy_bits) is not None]
    return Figures(
        key=key,
        temperature=temperature,
        num_answers=len(own),
        num_ended=sum(answer.finish == "stop" for answer, _ in own),
        num_tokens=sum(counts),
        mean_tokens=fmean(counts),
        tok_per_sec=(sum(counts) - len(counts)) / later_s if later_s > 0 else None,
        median_ttft_s=median(taken.ttft_s for _, taken in own),
        entropy_bits=mean_interval(entropies) if entropies else None,
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _rows(path: Path) -> Iterable[tuple[int, Any]]:
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        try:
            yield number, json.loads(line)
        except ValueError:
            raise Corrupt(f"line {number} of {path} is not JSON; remove it and resume") from None


def _parse_answer(path: Path, number: int, row: Any) -> Answer:
    try:
        cell = Cell(
            key=row["key"],
            temperature=float(row["temperature"]),
            seed=int(row["seed"]),
            prompt=row["prompt"],
        )
        return Answer(
            cell=cell,
            text=row["text"],
            shown=row["shown"],
            finish=row["finish"],
            num_prompt_tokens=int(row["num_prompt_tokens"]),
            ids=tuple(row["ids"]),
            is_forced=tuple(row["is_forced"]),
            entropy_nats=tuple(row["entropy_nats"]),
            surprisal_nats=tuple(row["surprisal_nats"]),
        )
    except (KeyError, TypeError, ValueError):
        raise Corrupt(f"line {number} of {path} is no answer of a comparison") from None

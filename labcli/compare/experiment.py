"""A comparison over a file of prompts: a run of its own, followed to its results."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from labcli.chat.stats import first_token
from labcli.compare.columns import label_of
from labcli.options import optional
from labcli.output import emit, emit_json
from labcli.text.cells import grid
from labcli.text.figures import ABSENT
from runs.errors import Corrupt, ExitCode, NotFound, UsageError
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from runs.refs import ResolvedCheckpoint, resolve_run
from runs.views.query import load_run
from tui.answering.sampling import TalkSettings

STAGE = "compare"
RESULTS = "results.json"
ANSWERS_HEADER = (
    "", "T", "ANSWERS", "ENDED", "TOKENS", "TOKENS/S", "FIRST", "ENTROPY", "95 % INTERVAL",
)  # fmt: skip
PAIRS_HEADER = ("PAIR", "T", "PAIRS", "SAME", "SHARED", "KL >", "KL <", "JS")
LEGEND = (
    "TOKENS of an answer; ENTROPY, KL both ways and Jensen-Shannon in bits per token\n"
    "PAIRS of one prompt and seed; SAME text; SHARED tokens before they part"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentOptions:
    """How the run of an experiment is named and whether it is waited for."""

    name: Annotated[str | None, optional("--name", "TEXT", "Give the run of --prompts a name.")] = (
        None
    )
    tag: Annotated[
        list[str] | None, optional("--tag", "TEXT", "Tag that run; may be repeated.")
    ] = None
    detach: Annotated[bool, typer.Option("--detach", help="Leave that run in the background.")] = (
        False
    )


def run_experiment(
    home: LabHome,
    found: Sequence[ResolvedCheckpoint],
    prompts: Sequence[str],
    temperatures: Sequence[float],
    settings: TalkSettings,
    options: ExperimentOptions,
    *,
    num_answers: int,
    device: str | None,
    is_json: bool,
) -> ExitCode:
    """Start a comparison as a run, follow it, and show its results.

    Raises:
        UsageError: a prompt does not fit a model.
    """
    from core.experiments.compare.answers import ASKED_FILE, Asked
    from core.settings.experiments import CompareConfig
    from labcli.launching.experiments import (
        GivenFile,
        NewExperiment,
        follow_experiment,
        start_experiment,
    )

    _check_room(found, prompts, settings.max_new_tokens)
    config = CompareConfig(
        seed=settings.seed,
        temperatures=tuple(temperatures),
        num_answers=num_answers,
        top_k=settings.top_k,
        top_p=settings.top_p,
        min_p=settings.min_p,
        repetition_penalty=settings.repetition_penalty,
        max_new_tokens=settings.max_new_tokens,
    )
    keys = [label_of(index).lower() for index in range(len(found))]
    names = {key: one.name for key, one in zip(keys, found, strict=True)}
    asked = Asked(models=names, prompts=tuple(prompts))
    new = NewExperiment(
        stage=STAGE,
        config=config,
        checkpoints=dict(zip(keys, found, strict=True)),
        files={"asked": GivenFile(file_name=ASKED_FILE, content=asked.to_json().encode("utf-8"))},
        total=len(found) * len(temperatures) * num_answers * len(prompts),
        device=device,
    )
    paths = start_experiment(home, new, name=options.name, tags=options.tag or ())
    slug = load_run(paths.run_dir).slug
    steps = (f"labcli compare --results {slug}",)
    code = follow_experiment(paths, detach=options.detach, next_steps=steps)
    if (paths.artifacts_dir(STAGE) / RESULTS).is_file():
        show_results(paths, is_json=is_json)
    elif is_json:
        emit_json(_run_row(paths))
    else:
        emit(slug)
    return code


def results_of(home: LabHome, ref: str) -> RunPaths:
    """Return the run that `ref` names; "last" is the newest comparison.

    Raises:
        NotFound: there is no such run.
        UsageError: it is no comparison.
    """
    from runs.views.query import run_dirs

    if ref == "last":
        for run_dir in run_dirs(home):
            if load_record(run_dir).recipe == STAGE:
                return RunPaths(run_dir)
        raise NotFound("no prompts were compared yet; start: labcli compare --prompts FILE")
    run_dir = resolve_run(home, ref)
    record = load_record(run_dir)
    if record.recipe != STAGE:
        raise UsageError(f"run {record.slug} is of {record.recipe}, and no comparison")
    return RunPaths(run_dir)


def show_results(paths: RunPaths, *, is_json: bool) -> None:
    """Write the results of a comparison.

    Raises:
        NotFound: it has none yet.
    """
    results = _read_results(paths.artifacts_dir(STAGE) / RESULTS, load_record(paths.run_dir).slug)
    if is_json:
        emit_json({**_run_row(paths), **results})
    else:
        emit(results_text(results, shutil.get_terminal_size().columns - 1))


def results_text(results: Mapping[str, Any], width: int) -> str:
    """Return the results as tables: the settings, and the pairs of models."""
    blocks = [
        "\n".join(f"{key.upper()}  {name}" for key, name in results["models"].items()),
        grid(
            ANSWERS_HEADER,
            [_setting_cells(row["key"].upper(), row) for row in results["settings"]],
            right="lrrrrrrr",
            max_width=width,
        ),
    ]
    if results["pairs"]:
        rows = [_pair_cells(f"{row['a']}-{row['b']}".upper(), row)
                for row in results["pairs"]]  # fmt: skip
        blocks.append(grid(PAIRS_HEADER, rows, right="lrrrrrrr", max_width=width))
    return "\n\n".join([*blocks, LEGEND])


def _setting_cells(label: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    entropy = row["entropy_bits"] or {}
    low, high = entropy.get("ci_low"), entropy.get("ci_high")
    return (
        label,
        f"{row['temperature']:g}",
        str(row["num_answers"]),
        str(row["num_ended"]),
        f"{row['mean_tokens']:.1f}",
        _figure(row["tok_per_sec"], 0),
        first_token(row["median_ttft_s"]),
        _figure(entropy.get("mean"), 2),
        ABSENT if low is None or high is None else f"{low:.2f} to {high:.2f}",
    )


def _pair_cells(pair: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        pair,
        f"{row['temperature']:g}",
        str(row["num_pairs"]),
        str(row["num_same_text"]),
        _figure(row["mean_shared_tokens"], 1),
        *(_figure(row[f"mean_{name}_bits"], 3) for name in ("kl_ab", "kl_ba", "js")),
    )


def _figure(value: float | None, digits: int) -> str:
    return ABSENT if value is None else f"{value:.{digits}f}"


def _run_row(paths: RunPaths) -> dict[str, Any]:
    view = load_run(paths.run_dir)
    return {"run_id": view.run_id, "slug": view.slug, "path": str(paths.run_dir),
            "state": view.state}  # fmt: skip


def _read_results(path: Path, slug: str) -> dict[str, Any]:
    try:
        body = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise NotFound(f"run {slug} has no results yet; see: labcli runs show {slug}") from None
    except ValueError:
        raise Corrupt(f"{path} is not valid JSON; start the comparison again") from None
    if not isinstance(body, dict) or not {"models", "settings", "pairs"} <= body.keys():
        raise Corrupt(f"{path} holds no results of a comparison; start it again")
    return body


def _check_room(
    found: Sequence[ResolvedCheckpoint], prompts: Sequence[str], max_new_tokens: int
) -> None:
    """Raise UsageError for a prompt that some model has no room for, before a run is made."""
    import torch

    from core.chat_format import prompt_ids
    from core.checkpoint import read_meta
    from core.model import GPT
    from labcli.speaking.speaker import find_tokenizer

    for one in found:
        meta = read_meta(one.path)
        tokenizer = find_tokenizer(one.path, meta.tokenizer_sha256)
        with torch.device("meta"):
            num_positions = GPT(meta.model_config).cos.size(0)
        for number, prompt in enumerate(prompts, start=1):
            needed = len(prompt_ids(tokenizer, prompt, is_base=meta.stage == "base"))
            if needed + max_new_tokens > num_positions:
                raise UsageError(
                    f"prompt {number} has {needed} tokens, and with {max_new_tokens} new ones it "
                    f"does not fit the {num_positions} positions of {one.name}; shorten it"
                )

"""`labcli compare`: several models side by side, at once, as a run, blindly, or by a test."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from labcli import diagnostics
from labcli.compare.blind import check_candidates, check_voter, rounds_of, vote
from labcli.compare.columns import Column, combine
from labcli.compare.experiment import (
    ExperimentOptions,
    results_of,
    run_experiment,
    show_results,
)
from labcli.compare.race import MAX_ROWS
from labcli.compare.reading import read_prompts, read_temperatures
from labcli.compare.side_by_side import load_speakers, show_side_by_side
from labcli.compare.vibe import show_vibe
from labcli.compare.votes import votes_object, votes_text
from labcli.flags.group import with_groups
from labcli.flags.sampling import DRAWN_TEMPERATURE, LoadOptions, SamplingOptions
from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.output import emit, emit_json
from runs.errors import ExitCode, UsageError
from runs.labels import read_votes
from runs.paths import LabHome
from runs.refs import ResolvedCheckpoint, resolve_checkpoint
from tui.answering.sampling import TalkSettings

VIBE_ROWS = 8
FIXED_SEED = 42

app = lone_command()

PromptsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="PROMPT", help="Ask this of every model.", show_default=False),
]
ModelsOption = Annotated[
    list[str] | None,
    optional(
        "--model",
        "REF",
        "Ask this model, RUN[:STAGE][@STEP] or a path; may be given several times. "
        "Default: the last finished run.",
    ),
]
TemperaturesOption = Annotated[
    str | None,
    optional(
        "--temperature",
        "T,...",
        f"Try these; default: 0 (no randomness), or {DRAWN_TEMPERATURE} with --n above 1.",
    ),
]
NumOption = Annotated[
    int,
    typer.Option("--n", min=1, metavar="N", help="Draw N answers each, with seeds going up."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """What to do instead of showing answers side by side."""

    prompts: Annotated[
        str | None,
        optional(
            "--prompts",
            "FILE",
            "Ask every line of a file ('-': stdin) in a run of its own, which is kept and resumed; "
            "with --vibe, a suite in TOML.",
        ),
    ] = None
    results: Annotated[
        str | None, optional("--results", "RUN", "Show what such a run found; 'last': the newest.")
    ] = None
    blind: Annotated[
        bool, typer.Option("--blind", help="Vote on two answers without knowing whose they are.")
    ] = False
    votes: Annotated[
        bool, typer.Option("--votes", help="Show what all votes say: Bradley-Terry scores.")
    ] = False
    vibe: Annotated[
        bool, typer.Option("--vibe", help="Ask questions whose answers a program can judge.")
    ] = False

    @property
    def is_repeated(self) -> bool:
        """Whether the same command gives the same answers without a --seed too."""
        return self.vibe or (self.prompts is not None and not self.blind)

    def check(self) -> None:
        """Raise UsageError for modes that exclude each other."""
        flags = {
            "--results": self.results is not None,
            "--blind": self.blind,
            "--votes": self.votes,
            "--vibe": self.vibe,
        }
        chosen = [flag for flag, is_set in flags.items() if is_set]
        if len(chosen) > 1:
            raise UsageError(f"{', '.join(chosen)} exclude each other; give one of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """A command line, read."""

    home: LabHome
    models: Sequence[ResolvedCheckpoint]
    prompts: Sequence[str]
    temperatures: Sequence[float]
    settings: TalkSettings
    num_answers: int
    loading: LoadOptions
    is_json: bool


@app.command()
@with_groups
def compare(
    ctx: typer.Context,
    *,
    prompt: PromptsArgument = None,
    model: ModelsOption = None,
    temperature: TemperaturesOption = None,
    n: NumOption = 1,
    modes: Modes,
    sampling: SamplingOptions,
    experiment: ExperimentOptions,
    options: LoadOptions,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Ask several models, or one with several settings, the same, and see the answers together.

    Every prompt, model, temperature and seed is a column; all are answered at once. A mark shows
    where a column departs from the first of its prompt, a table where each two part and how far
    their models are apart up to there. Figures count the model's own time: tokens a second after
    the first token, and the entropy of what it would say next in bits. A base model continues
    the prompt as a text.
    """
    modes.check()
    lab = home_of(ctx, home)
    if modes.results is not None:
        show_results(results_of(lab, modes.results), is_json=json)
        return
    if modes.votes:
        _show_votes(lab, is_json=json)
        return
    if modes.blind:
        check_voter(is_json=json)
    temperatures = read_temperatures(temperature, n)
    request = _Request(
        home=lab,
        models=[resolve_checkpoint(lab, ref) for ref in model or (None,)],
        prompts=() if modes.vibe else read_prompts(prompt or [], modes.prompts),
        temperatures=temperatures,
        settings=_settings(sampling, temperatures[0], is_repeated=modes.is_repeated),
        num_answers=n,
        loading=options,
        is_json=json,
    )
    if not model:
        diagnostics.say(f"model: {request.models[0].name}")
    if modes.vibe:
        _vibe(request, prompt or [], modes.prompts)
    elif modes.blind:
        _vote(request)
    elif modes.prompts is not None:
        raise typer.Exit(_experiment(request, experiment))
    else:
        raise typer.Exit(_side_by_side(request))


def _settings(sampling: SamplingOptions, temperature: float, *, is_repeated: bool) -> TalkSettings:
    """Return how answers are drawn; the same ones each time where that is asked for."""
    settings = sampling.settings(temperature)
    if is_repeated and sampling.seed is None:
        return settings.changed(seed=FIXED_SEED)
    return settings


def _side_by_side(request: _Request) -> ExitCode:
    combinations = combine(
        request.prompts,
        len(request.models),
        request.temperatures,
        request.num_answers,
        request.settings,
    )
    if request.num_answers > 1 and 0.0 in request.temperatures:
        diagnostics.say("temperature 0 draws nothing: its answers differ in nothing but the seed")
    per_model = len(combinations) // len(request.models)
    speakers = load_speakers(request.models, request.loading, max_rows=min(MAX_ROWS, per_model))
    columns = [Column(item, request.models[item.model].name) for item in combinations]
    return show_side_by_side(speakers, columns, is_json=request.is_json)


def _experiment(request: _Request, options: ExperimentOptions) -> ExitCode:
    if request.loading.weights != "native":
        raise UsageError("a run of --prompts computes with the models' own weights")
    return run_experiment(
        request.home,
        request.models,
        request.prompts,
        request.temperatures,
        request.settings,
        options,
        num_answers=request.num_answers,
        device=request.loading.device,
        is_json=request.is_json,
    )


def _vote(request: _Request) -> None:
    check_candidates(request.models)
    if len(request.temperatures) > 1:
        raise UsageError("--blind compares models; give it one --temperature")
    rounds = rounds_of(request.prompts, len(request.models), request.num_answers, request.settings)
    speakers = load_speakers(request.models, request.loading, max_rows=1)
    num_kept = vote(request.home, speakers, request.models, rounds)
    words = "1 vote was" if num_kept == 1 else f"{num_kept} votes were"
    diagnostics.say(f"{words} kept; see: labcli compare --votes")


def _vibe(request: _Request, prompts: Sequence[str], suite: str | None) -> None:
    if prompts:
        raise UsageError("--vibe has questions of its own; give others as a suite: --prompts FILE")
    if len(request.temperatures) > 1:
        raise UsageError("--vibe judges answers at one temperature; give it one --temperature")
    speakers = load_speakers(
        request.models,
        request.loading,
        max_rows=VIBE_ROWS,
        is_deterministic=True,
    )
    show_vibe(
        speakers,
        None if suite is None else Path(suite),
        request.settings,
        num_answers=request.num_answers,
        is_json=request.is_json,
    )


def _show_votes(home: LabHome, *, is_json: bool) -> None:
    ballots = read_votes(home)
    if is_json:
        emit_json(votes_object(ballots))
    else:
        emit(votes_text(ballots, shutil.get_terminal_size().columns - 1))

"""`labcli selfchat`: models talk to themselves or to each other, and what they say is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.experiments.selfchat.archive import STAGE
from labcli import diagnostics
from labcli.flags.sampling import DeviceOption
from labcli.launching.experiments import (
    GivenFile,
    NewExperiment,
    follow_experiment,
    start_experiment,
)
from labcli.options import HomeOption, JsonOption, home_of, optional
from labcli.output import emit, emit_json
from labcli.selfchat.given import topics_of, valid_text
from labcli.selfchat.show import check_export, export_result, show_result
from labcli.text.figures import seconds
from runs.errors import UsageError
from runs.paths import LabHome, RunPaths
from runs.refs import resolve_run
from runs.views.query import load_run
from tui.analysis.words import short_count

if TYPE_CHECKING:
    from core.experiments.selfchat.script import Script
    from core.settings.experiments import SelfchatConfig
    from labcli.selfchat.casting import Casting

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="REF",
        help="Let this model talk, RUN[:STAGE][@STEP] or a path; given twice, they talk to each "
        "other. Default: the last finished run.",
        show_default=False,
    ),
]
Topic = Annotated[
    list[str] | None,
    typer.Option("--topic", metavar="TEXT", help="Start from this; may be given several times."),
]
Topics = Annotated[
    str | None,
    typer.Option(
        "--topics",
        metavar="FILE",
        help="Start from every line of a file; '-' reads stdin. Default: eight built-in topics.",
        show_default=False,
    ),
]
Turns = Annotated[int, typer.Option(metavar="N", help="Take N turns after the topic.")]
Seeds = Annotated[int, typer.Option(metavar="N", help="Talk N times about every topic.")]
Temperature = Annotated[str, typer.Option(metavar="T,...", help="Try these temperatures.")]
TopK = Annotated[str, typer.Option("--top-k", metavar="K,...", help="Try these; none: all tokens.")]
TopP = Annotated[str, typer.Option("--top-p", metavar="P,...", help="Try these; none: no limit.")]
MinP = Annotated[
    float | None,
    optional("--min-p", "P", "Drop tokens below this share of the likeliest one's probability."),
]
Penalty = Annotated[
    float,
    typer.Option(
        "--repetition-penalty", metavar="X", help="Make what was said less likely; 1 does nothing."
    ),
]
SystemA = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Tell side a this first.", show_default=False)
]
SystemB = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Tell side b this first.", show_default=False)
]
Limit = Annotated[int, typer.Option(metavar="N", help="End a turn after N tokens.")]
Context = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="End a conversation before N positions; default: the model's training length.",
        show_default=False,
    ),
]
KeepLooping = Annotated[
    bool, typer.Option("--keep-looping", help="Go on when they repeat themselves.")
]
EveryCheckpoint = Annotated[
    bool,
    typer.Option("--every-checkpoint", help="Ask every kept checkpoint of the model's run."),
]
MaxMinutes = Annotated[
    float | None, typer.Option(metavar="X", help="Talk this long at most.", show_default=False)
]
MaxTokens = Annotated[
    int | None,
    typer.Option(metavar="N", help="Share N tokens among all conversations.", show_default=False),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of all draws.")]
Name = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Give the run a name.", show_default=False)
]
Tag = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TEXT", help="Tag the run; may be repeated.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Leave the run in the background.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it takes and start nothing.")]
Show = Annotated[
    str | None,
    typer.Option(metavar="RUN", help="Show an earlier self-chat again.", show_default=False),
]
OneConversation = Annotated[
    int | None,
    typer.Option(
        "--conversation",
        metavar="N",
        help="With --show: this one, word by word.",
        show_default=False,
    ),
]
Export = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write it all as .json, .csv, .md, .html or a directory .parquet.",
        show_default=False,
    ),
]


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def selfchat(
    ctx: typer.Context,
    model: Models = None,
    topic: Topic = None,
    topics: Topics = None,
    turns: Turns = 6,
    seeds: Seeds = 4,
    temperature: Temperature = "0.6,1.0",
    top_k: TopK = "50",
    top_p: TopP = "none",
    min_p: MinP = None,
    repetition_penalty: Penalty = 1.0,
    system_a: SystemA = None,
    system_b: SystemB = None,
    max_new_tokens: Limit = 64,
    max_context: Context = None,
    keep_looping: KeepLooping = False,
    every_checkpoint: EveryCheckpoint = False,
    max_minutes: MaxMinutes = None,
    max_tokens: MaxTokens = None,
    seed: Seed = 42,
    device: DeviceOption = None,
    name: Name = None,
    tag: Tag = None,
    detach: Detach = False,
    dry_run: DryRun = False,
    show: Show = None,
    conversation: OneConversation = None,
    export: Export = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Let a model talk to itself, or two to each other, and measure entropy, variety and loops.

    Each side sees itself as the assistant and the other as the user: a answers the topic, b hears
    that answer first. Every topic is talked about under every setting with every seed. The talk
    is a run of its own: it survives a closed terminal, and `labcli runs resume` continues it.
    """
    lab = home_of(ctx, home)
    _check(show, conversation, export)
    if show is not None:
        _show_again(resolve_run(lab, show), conversation, export, is_json=json)
        return
    settings = {
        "seed": seed, "turns": turns, "num_seeds": seeds, "temperatures": temperature,
        "top_ks": top_k, "top_ps": top_p, "min_p": min_p,
        "repetition_penalty": repetition_penalty,
        "system_a": valid_text(system_a), "system_b": valid_text(system_b),
        "max_new_tokens": max_new_tokens, "max_context": max_context,
        "keep_looping": keep_looping, "max_minutes": max_minutes, "max_tokens": max_tokens,
    }  # fmt: skip
    chosen = topics_of(topic or (), topics)
    new = _prepare(lab, settings, chosen, model or (), device, is_timeline=every_checkpoint)
    if dry_run:
        emit_json(new.plan()) if json else emit(_headline(new.facts))
        return
    paths = start_experiment(lab, new, name=name, tags=tag or ())
    diagnostics.say(_headline(new.facts))
    raise typer.Exit(_attend(paths, is_detached=detach, is_json=json, export=export))


def _check(show: str | None, conversation: int | None, export: Path | None) -> None:
    if export is not None:
        check_export(export)
    if show is None and conversation is not None:
        raise UsageError("--conversation is for an earlier self-chat; name it with --show RUN")


def _show_again(
    run_dir: Path, conversation: int | None, export: Path | None, *, is_json: bool
) -> None:
    show_result(run_dir, is_json=is_json, conversation=conversation)
    if export is not None:
        export_result(run_dir, export)


def _prepare(
    home: LabHome,
    settings: Mapping[str, Any],
    topics: tuple[str, ...],
    refs: Sequence[str],
    device: str | None,
    *,
    is_timeline: bool,
) -> NewExperiment:
    """Return the experiment that was asked for, and say what was not spelt out."""
    from core.config import build_stage_config
    from core.experiments.selfchat.script import Script
    from core.settings.experiments import SelfchatConfig
    from labcli.selfchat.casting import cast_models, cast_timeline

    config = build_stage_config(STAGE, settings)
    assert isinstance(config, SelfchatConfig)
    casting = (cast_timeline if is_timeline else cast_models)(home, refs)
    if not refs or is_timeline:
        names = ", ".join(found.name for found in casting.checkpoints.values())
        diagnostics.say(f"model: {names}")
    if config.num_seeds > 1 and 0.0 in config.temperatures:
        diagnostics.say("temperature 0 draws nothing: its seeds repeat each other")
    return _experiment(config, Script(casts=casting.casts, topics=topics), casting, device)


def _experiment(
    config: SelfchatConfig, script: Script, casting: Casting, device: str | None
) -> NewExperiment:
    from core.checkpoint import read_meta
    from core.device import pick_device
    from core.experiments.selfchat.cost import check_context, estimate
    from core.experiments.selfchat.grid import make_settings
    from core.experiments.selfchat.script import dump_script
    from core.hardware import detect

    if device is not None:
        pick_device(device)
    shapes = [read_meta(found.path).model_config for found in casting.checkpoints.values()]
    for shape in shapes:
        check_context(config, shape)
    cost = estimate(
        config,
        max(shapes, key=lambda shape: shape.num_layers * shape.n_embd**2),
        num_settings=len(make_settings(config, script.casts)),
        num_topics=len(script.topics),
        hardware=detect(),
    )
    return NewExperiment(
        stage=STAGE,
        config=config,
        checkpoints=casting.checkpoints,
        files={"script": GivenFile(file_name="script.json", content=dump_script(script))},
        total=cost.turns,
        device=device,
        facts=cost.facts(),
    )


def _attend(paths: RunPaths, *, is_detached: bool, is_json: bool, export: Path | None) -> int:
    """Follow the run, and write its findings, or its name when it goes on or has failed."""
    slug = load_run(paths.run_dir).slug
    code = follow_experiment(
        paths, detach=is_detached, next_steps=(f"labcli selfchat --show {slug} --conversation 0",)
    )
    view = load_run(paths.run_dir)
    if view.state == "finished":
        page = paths.artifacts_dir(STAGE) / "report.html"
        diagnostics.say(f"report: {page}")
        show_result(paths.run_dir, is_json=is_json)
        if export is not None:
            export_result(paths.run_dir, export)
    elif is_json:
        emit_json({"run_id": view.run_id, "slug": slug, "path": str(paths.run_dir)})
    else:
        emit(slug)
    return code


def _headline(facts: Mapping[str, Any]) -> str:
    return (
        f"settings {facts['settings']} x topics {facts['topics']} x seeds: "
        f"{facts['conversations']} conversations; at most {facts['turns']} turns, "
        f"{short_count(facts['tokens'])} tokens and about {seconds(facts['time_s'])}"
    )

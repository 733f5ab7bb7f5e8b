"""`labcli compare`: the same prompts to several models or settings, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from labcli import diagnostics
from labcli.chat.keys import keys_unseen, stop_on_interrupt
from labcli.chat.reading import read_stdin
from labcli.compare.columns import Column, combine
from labcli.compare.race import MAX_ROWS, Race
from labcli.compare.show import stage_for
from labcli.option_group import with_groups
from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.output import emit_json
from labcli.prompting import BASE_NOTE
from labcli.sampling_options import DRAWN_TEMPERATURE, LoadOptions, SamplingOptions
from labcli.speaker import Speaker, weights_note
from runs.errors import ExitCode, NotFound, UsageError
from runs.refs import ResolvedCheckpoint, resolve_checkpoint

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
PromptsFileOption = Annotated[
    str | None, optional("--prompts", "FILE", "Ask every line of a file too; '-' reads stdin.")
]


@app.command()
@with_groups
def compare(
    ctx: typer.Context,
    *,
    prompt: PromptsArgument = None,
    prompts: PromptsFileOption = None,
    model: ModelsOption = None,
    temperature: TemperaturesOption = None,
    n: NumOption = 1,
    sampling: SamplingOptions,
    options: LoadOptions,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Ask several models, or one with several settings, the same, and see the answers together.

    Every prompt, model, temperature and seed is a column; all are answered at once. A mark shows
    where a column departs from the first of its prompt. Figures count the model's own time:
    tokens a second after the first token, and the entropy of what it would say next in bits. A
    base model continues the prompt as a text.
    """
    asked = _prompts(prompt or [], prompts)
    temperatures = _temperatures(temperature, n)
    settings = sampling.settings(temperatures[0])
    lab = home_of(ctx, home)
    found = [resolve_checkpoint(lab, ref) for ref in model or (None,)]
    if not model:
        diagnostics.say(f"model: {found[0].name}")
    combinations = combine(asked, len(found), temperatures, n, settings)
    if n > 1 and 0.0 in temperatures:
        diagnostics.say("temperature 0 draws nothing: its answers differ in nothing but the seed")
    per_model = len(combinations) // len(found)
    speakers = _load(found, options, max_rows=min(MAX_ROWS, per_model))
    columns = [Column(item, found[item.model].name) for item in combinations]
    if _run(speakers, columns, is_json=json):
        raise typer.Exit(ExitCode.INTERRUPTED)


def _run(speakers: Sequence[Speaker], columns: Sequence[Column], *, is_json: bool) -> bool:
    """Show the columns until all are done; return whether Ctrl-C ended it before."""
    race = Race(speakers, columns)
    with stop_on_interrupt() as stop, keys_unseen(), stage_for(columns, is_json=is_json) as stage:
        try:
            while not (race.is_done or stop.is_asked):
                race.step()
                stage.update()
        except KeyboardInterrupt:
            stop.is_asked = True
        finally:
            race.close()
    if is_json:
        weights = [speaker.engine.weights for speaker in speakers]
        emit_json(
            [{**item.as_row(), "weights": weights[item.combination.model]} for item in columns]
        )
    return any(column.finish == "interrupted" for column in columns)


def _prompts(given: Sequence[str], source: str | None) -> list[str]:
    """Return the prompts of the command line, then the lines of the file that are not blank."""
    prompts = list(given)
    if source is not None:
        prompts += [line for line in _read(source).splitlines() if line.strip()]
    if not prompts:
        raise UsageError('nothing to ask; write labcli compare "a question", or --prompts FILE')
    if not all(prompt.strip() for prompt in prompts):
        raise UsageError("a prompt is empty; write what the models should answer")
    return list(dict.fromkeys(prompts))


def _read(source: str) -> str:
    if source == "-":
        return read_stdin()
    try:
        return Path(source).read_text("utf-8", errors="replace")
    except FileNotFoundError:
        raise NotFound(f"no file of prompts at {source}") from None
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror or error}") from None


def _temperatures(text: str | None, num_answers: int) -> list[float]:
    if text is None:
        return [0.0 if num_answers == 1 else DRAWN_TEMPERATURE]
    try:
        temperatures = [float(word) for word in text.split(",")]
    except ValueError:
        raise UsageError(f"--temperature takes numbers such as 0.6,1.0, not {text!r}") from None
    if not all(0 <= value < float("inf") for value in temperatures):
        raise UsageError(f"every temperature is 0 or more, not {text!r}")
    return list(dict.fromkeys(temperatures))


def _load(
    found: Sequence[ResolvedCheckpoint],
    options: LoadOptions,
    *,
    max_rows: int,
) -> list[Speaker]:
    """Return a speaker per reference; references to one checkpoint share it."""
    loaded: dict[Path, Speaker] = {}
    status = diagnostics.StatusLine()
    try:
        for checkpoint in found:
            if checkpoint.path not in loaded:
                status.update(f"loading {checkpoint.name}")
                loaded[checkpoint.path] = options.load(checkpoint, max_rows=max_rows)
    finally:
        status.clear()
    notes = {weights_note(speaker.engine) for speaker in loaded.values()}
    for note in filter(None, notes):
        diagnostics.say(note)
    if any(speaker.is_base for speaker in loaded.values()):
        diagnostics.say(BASE_NOTE)
    return [loaded[checkpoint.path] for checkpoint in found]

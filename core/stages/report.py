"""The `report` stage: one Markdown file that says what was built, how, and how good it is.

Torch-free. Everything it says comes from the summary of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from core.config import STAGE_CONFIGS
from core.hardware_table import GIB, HardwareTable, shipped_table
from core.markdown import ABSENT, count, duration, fence, figure, percent, table
from core.run_summary import RunSummary, StageSummary, read_summary
from core.settings.experiments import ReportConfig
from core.stages.artifacts import write_artifact
from core.stages.context import CheckpointRef, StageContext
from runs.events import Event

MODEL_STAGES = ("base", "mid", "sft", "rl")


def run(
    config: ReportConfig,
    ctx: StageContext,
    *,
    stop: Callable[[], bool],
    resume: CheckpointRef | None,
) -> Iterator[Event]:
    """Write report.md from the summary of the run."""
    if ctx.rank == 0:
        summary = read_summary(ctx.input("summary").path)
        text = render_report(summary, config, ctx.hardware)
        yield write_artifact(ctx, "report.md", text, name="report")


def render_report(
    summary: RunSummary, config: ReportConfig, hardware: HardwareTable | None = None
) -> str:
    """Return the whole report as Markdown; prices are those of `hardware`, or as shipped."""
    sections = [
        f"# {summary.name}\n\n{_opening(summary)}",
        "## Results\n\n" + _results(summary),
        "## How to read it\n\n" + _reading(summary),
        "## Stages\n\n" + _stages(summary),
        "## Samples\n\n" + _samples(summary),
        "## Configuration\n\n" + _configuration(summary),
        "## Machine\n\n" + _machine(summary),
        "## Cost\n\n" + _cost(summary, config, hardware or shipped_table()),
        "## Talk to it\n\n" + _talk(summary),
    ]
    return "\n\n".join(sections) + "\n"


def _opening(summary: RunSummary) -> str:
    model = summary.plan.get("model") or {}
    trained = [stage for stage in summary.stages if stage.stage in MODEL_STAGES]
    tokens = sum(stage.metrics.get("tokens", 0.0) for stage in trained)
    flops = sum(stage.metrics.get("flops", 0.0) for stage in trained)
    return (
        f"Run `{summary.slug}` ({summary.run_id}), recipe {summary.recipe}, preset "
        f"{summary.preset}: a {model.get('arch', '')} d{model.get('depth', '?')} of "
        f"{count(model.get('num_params'))} parameters, trained on {count(tokens)} tokens with "
        f"{flops:.2e} FLOPs."
    )


def _evals(summary: RunSummary) -> dict[str, StageSummary]:
    """Return the evaluations by the name of the model stage, in the order of training."""
    found = {name: summary.stage(f"eval-{name}") for name in MODEL_STAGES}
    return {name: stage for name, stage in found.items() if stage is not None}


def _results(summary: RunSummary) -> str:
    evals = _evals(summary)
    if not evals:
        return "This run evaluated no model."
    tasks = sorted({task for stage in evals.values() for task in stage.results})
    rows = [
        ["validation bits per byte", *(figure(s.val_bpb) for s in evals.values()), ABSENT, ABSENT]
    ]
    for task in tasks:
        entries = [stage.results.get(task, {}) for stage in evals.values()]
        known = next(entry for entry in entries if entry)
        rows.append(
            [
                f"{task} (accuracy)",
                *(percent(entry.get("accuracy")) for entry in entries),
                percent(known.get("chance")),
                count(known.get("n")),
            ]
        )
    return table(["Metric", *(name.upper() for name in evals), "Chance", "n"], rows)


def _reading(summary: RunSummary) -> str:
    evals = _evals(summary)
    sizes = [entry["n"] for s in evals.values() for entry in s.results.values() if entry.get("n")]
    texts = {stage.val_sha256 for stage in evals.values() if stage.val_sha256}
    lines = [
        "- Bits per byte: how many bits the model needs for a byte of held-out text; lower is "
        "better. Figures compare between runs only over the same text"
        + (f" (here {', '.join(sorted(text[:12] for text in texts))})." if texts else "."),
        "- It may rise after base: mid and sft train on conversations, not on that kind of text.",
        "- Accuracy: share of held-out questions answered right, greedily, in the chat format. "
        "The base model has never seen that format, and is asked and marked like the others.",
        "- Chance: what the best constant answer would get.",
    ]
    if sizes:
        # Half the width of a 95% interval of a share, where it is widest.
        margin = 98.0 / min(sizes) ** 0.5
        lines.append(
            f"- With {count(min(sizes))} questions, differences below about "
            f"{margin:.0f} points can be luck."
        )
    return "\n".join(lines)


def _stages(summary: RunSummary) -> str:
    rows = []
    for stage in summary.stages:
        if stage.stage == "report":
            continue
        last = stage.metrics
        rows.append(
            [
                stage.stage,
                stage.state,
                ABSENT if stage.step is None else str(stage.step),
                duration(stage.seconds),
                figure(last.get("loss")),
                figure(stage.val_bpb),
                count(last.get("tok_per_sec")),
                percent(last.get("mfu")),
            ]
        )
    header = ["Stage", "State", "Step", "Time", "Loss", "val bpb", "Tokens/s", "MFU"]
    parts = [table(header, rows)]
    for stage in summary.stages:
        if stage.attempt > 1:
            parts.append(f"{stage.stage} took {stage.attempt} attempts; its time includes pauses.")
        parts += [f"{stage.stage}: {message}" for message in stage.alerts]
    return "\n\n".join(parts)


def _samples(summary: RunSummary) -> str:
    parts = []
    for name, stage in _evals(summary).items():
        if stage.samples:
            parts.append(f"### {name.upper()}")
        parts += [fence(f"> {sample.prompt}\n{sample.text}") for sample in stage.samples]
    return "\n\n".join(parts) or "No samples were taken."


def _configuration(summary: RunSummary) -> str:
    plan = summary.plan
    model = plan.get("model") or {}
    rows = [
        ["architecture", str(model.get("arch", ABSENT))],
        ["parameters", f"{model['num_params']:,}" if "num_params" in model else ABSENT],
        ["depth x width", f"{model.get('depth', ABSENT)} x {model.get('n_embd', ABSENT)}"],
        ["vocabulary", str(model.get("vocab_size", ABSENT))],
        ["sequence length", str(model.get("sequence_len", ABSENT))],
        ["planned tokens", count(plan.get("tokens"))],
        ["planned FLOPs", f"{plan['flops']:.2e}" if plan.get("flops") else ABSENT],
        ["commit", _commit(summary.git)],
    ]
    changed = [
        f"- `{stage.stage}.{name} = {value}`"
        for stage in summary.stages
        for name, value in changed_settings(stage.stage, stage.config).items()
    ]
    listing = "\n".join(changed) or "- none"
    settings = table(["Setting", "Value"], rows)
    return f"{settings}\n\nSettings that differ from the defaults:\n\n{listing}"


def changed_settings(stage: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a stage that are not at their default."""
    kind = STAGE_CONFIGS.get(stage)
    if kind is None:
        return {}
    defaults = {spec.name: spec.default for spec in fields(kind) if spec.default is not MISSING}
    return {
        name: value
        for name, value in config.items()
        if name in defaults and value != defaults[name]
    }


def _commit(git: Mapping[str, Any]) -> str:
    sha = git.get("sha")
    if not sha:
        return ABSENT
    return f"{str(sha)[:12]}{' with local changes' if git.get('is_dirty') else ''}"


def _machine(summary: RunSummary) -> str:
    host = summary.host
    gpus = [str(gpu["name"]) for gpu in host.get("gpus", ())]
    memory = host.get("memory_bytes")
    rows = [
        ["CPU", f"{host.get('cpu', ABSENT)}, {host.get('num_cpus', ABSENT)} cores"],
        ["memory", ABSENT if memory is None else f"{memory / GIB:.1f} GiB"],
        ["GPU", ", ".join(gpus) or "none"],
        ["ranks", str(summary.nproc)],
        ["platform", f"{host.get('platform', ABSENT)}, Python {host.get('python', ABSENT)}"],
        ["torch", summary.packages.get("torch", ABSENT)],
    ]
    base = next((s for s in summary.stages if s.stage in MODEL_STAGES and s.facts), None)
    if base is not None and "is_compiled" in base.facts:
        how = "compiled" if base.facts["is_compiled"] else "eager"
        rows.append(["training", f"{how}, {base.facts.get('dtype', ABSENT)}"])
    return table(["Part", "What"], rows)


def _cost(summary: RunSummary, config: ReportConfig, hardware: HardwareTable) -> str:
    seconds = sum(stage.seconds or 0.0 for stage in summary.stages)
    rate = config.usd_per_hour
    if rate is None:
        rate = _known_rate(summary.host, hardware)
    took = f"The stages took {duration(seconds)}"
    if rate is None:
        return (
            f"{took}. No hourly rate is known for this machine; "
            "`--set report.usd_per_hour=X` states one."
        )
    return f"{took}; at ${rate:.2f} an hour that is ${rate * seconds / 3600:.2f}."


def _known_rate(host: Mapping[str, Any], hardware: HardwareTable) -> float | None:
    cards = [hardware.find(str(gpu["name"])) for gpu in host.get("gpus", ())]
    known = [card.usd_per_hour for card in cards if card and card.usd_per_hour is not None]
    return sum(known) if known and len(known) == len(cards) else None


def _talk(summary: RunSummary) -> str:
    trained = [s.stage for s in summary.stages if s.stage in MODEL_STAGES and s.state == "finished"]
    if not trained:
        return "This run trained no model."
    return fence(f"labcli chat --model {summary.slug}:{trained[-1]}")

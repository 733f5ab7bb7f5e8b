"""A recipe resolved for one machine: every stage's full settings, with counts and costs.

Torch-free. Times are estimates from the constants below; runs measure the real ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.config import (
    BaseConfig,
    ChatTrainConfig,
    DataConfig,
    ModelConfig,
    StageConfig,
    TokConfig,
    TrainConfig,
    build_stage_config,
    config_hash,
)
from core.hardware import PEAK_FLOPS, Hardware, lookup
from core.scaling import (
    checkpoint_bytes,
    count_params,
    flops_per_token,
    micro_batches,
    model_config,
    training_memory_bytes,
)
from core.schedule import steps_for_ratio
from runs.errors import UsageError, nearest

MODEL_STAGES = ("base", "mid", "sft")
# Training speed of one CPU core, compiled, as measured on a 2-core server with AVX512-BF16.
CPU_CORE_FLOPS = {True: 120e9, False: 50e9}
GPU_MFU = 0.4
# Start-up and work of a stage that does not train, on a CPU.
OTHER_STAGE_S = 15.0
TOKENS_PER_CONVERSATION = 50
CORPUS_BYTES = 40_000_000
# A checkpoint is written whole before the oldest one is removed.
NUM_EXTRA_CHECKPOINTS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """One stage: its settings, and which stage each of its inputs comes from."""

    stage: str
    config: StageConfig
    inputs: Mapping[str, str]
    steps: int | None
    nproc: int

    def to_json(self) -> dict[str, Any]:
        """Return the stage as run.json stores it."""
        return {
            "stage": self.stage,
            "config": asdict(self.config),
            "config_hash": config_hash(self.config),
            "inputs": dict(self.inputs),
            "total": self.steps,
            "nproc": self.nproc,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run will do, and what that takes."""

    recipe: str
    preset: str
    device: str
    stages: tuple[StagePlan, ...]
    model: ModelConfig
    arch: str
    tokens: int
    flops: float
    steps: int
    memory_bytes: int
    disk_bytes: int
    time_s: float
    usd: float | None
    usd_per_hour: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the plan as `--dry-run --json` prints it and run.json stores it."""
        return {
            "recipe": self.recipe,
            "preset": self.preset,
            "device": self.device,
            "stages": [stage.to_json() for stage in self.stages],
            "model": {
                "arch": self.arch,
                "num_params": count_params(self.model).total,
                "depth": self.model.num_layers,
                "n_embd": self.model.n_embd,
                "vocab_size": self.model.vocab_size,
                "sequence_len": self.model.sequence_len,
            },
            "tokens": self.tokens,
            "flops": self.flops,
            "steps": self.steps,
            "memory_bytes": self.memory_bytes,
            "disk_bytes": self.disk_bytes,
            "time_s": self.time_s,
            "usd": self.usd,
            "usd_per_hour": self.usd_per_hour,
        }

    def headline(self) -> str:
        """Return the first line of a run: what it will build."""
        if not any(stage.stage == "base" for stage in self.stages):
            return f"{', '.join(stage.stage for stage in self.stages)}, preset {self.preset}"
        params = count_params(self.model).total
        return (
            f"{self.arch} d{self.model.num_layers}, {_short(params)} parameters, "
            f"{_short(self.tokens)} training tokens, preset {self.preset}"
        )


def resolve(
    recipe: Mapping[str, Any],
    *,
    preset: str,
    overrides: Sequence[str],
    hardware: Hardware,
    only: str | None = None,
    until: str | None = None,
    nproc: int | None = None,
) -> Plan:
    """Return the plan of a recipe on a machine, with one rank per GPU unless told otherwise.

    Raises:
        UsageError: an unknown preset, stage or setting (the nearest are named), or settings
            that contradict each other.
    """
    slug = hardware.preset if preset == "auto" else preset
    presets: Mapping[str, Mapping[str, Any]] = recipe["presets"]
    if slug not in presets:
        raise UsageError(f"{recipe['name']} has no preset {slug!r}{nearest(slug, presets)}")
    known: Sequence[str] = recipe["stages"]
    chosen = _chosen(known, only=only, until=until)
    configs = stage_configs(recipe, presets[slug], overrides)
    base, tok, data = configs["base"], configs["tok"], configs["data"]
    assert isinstance(base, BaseConfig) and isinstance(tok, TokConfig)
    assert isinstance(data, DataConfig)
    model = model_config(base, tok.vocab_size)
    ranks = nproc or max(1, len(hardware.gpus))
    stages = []
    for stage in chosen:
        config = configs[stage]
        # Without base in the plan the row length is the parent's, and the stage itself checks.
        if isinstance(config, TrainConfig) and "base" in chosen:
            micro_batches(config, model.sequence_len, ranks)
        stages.append(
            StagePlan(
                stage=stage,
                config=config,
                inputs=stage_inputs(stage, known),
                steps=_steps(config, model),
                nproc=ranks if stage in MODEL_STAGES else 1,
            )
        )
    return _costed(recipe["name"], slug, stages, base, model, data, hardware)


def stage_configs(
    recipe: Mapping[str, Any], preset: Mapping[str, Any], overrides: Sequence[str] = ()
) -> dict[str, StageConfig]:
    """Return the settings of every stage of a recipe, as a preset and the overrides leave them."""
    values = _values(recipe, preset, overrides)
    return {stage: build_stage_config(stage, values[stage]) for stage in recipe["stages"]}


def stage_inputs(stage: str, known: Iterable[str]) -> dict[str, str]:
    """Return the inputs of a stage by name, each with the stage that makes it."""
    order = list(known)
    shared = {"tokenizer": "tok", "corpus": "data"}
    if stage == "tok":
        return {"corpus": "data"}
    if stage == "base":
        return shared
    if stage in MODEL_STAGES:
        earlier = [name for name in MODEL_STAGES if name in order[: order.index(stage)]]
        return {**shared, "conversations": "data", "checkpoint": earlier[-1]}
    if stage.startswith("eval-"):
        inputs = {**shared, "conversations": "data", "checkpoint": stage.removeprefix("eval-")}
        if stage != "eval-base" and "eval-base" in order:
            inputs["results:eval-base"] = "eval-base"
        return inputs
    return {}


def _chosen(known: Sequence[str], *, only: str | None, until: str | None) -> Sequence[str]:
    for option, stage in (("--only", only), ("--until", until)):
        if stage is not None and stage not in known:
            raise UsageError(f"{option}: unknown stage {stage!r}{nearest(stage, known)}")
    if only is not None:
        return (only,)
    return known if until is None else known[: known.index(until) + 1]


def _values(
    recipe: Mapping[str, Any], preset: Mapping[str, Any], overrides: Sequence[str]
) -> dict[str, dict[str, Any]]:
    known = recipe["stages"]
    values = {stage: dict(recipe["settings"].get(stage, {})) for stage in known}
    for stage, settings in preset.items():
        if stage == "description":
            continue
        if stage not in values:
            raise UsageError(f"preset names stage {stage!r}{nearest(stage, known)}")
        values[stage].update(settings)
    for override in overrides:
        key, separator, value = override.partition("=")
        stage, dot, name = key.partition(".")
        if not separator or not dot:
            raise UsageError(f"--set takes stage.key=value, such as base.depth=6, not {override!r}")
        if stage not in values:
            raise UsageError(f"--set {override}: no stage {stage!r}{nearest(stage, known)}")
        values[stage][name] = value
        _drop_rival(values[stage], name, value)
    return values


def _drop_rival(settings: dict[str, Any], name: str, value: str) -> None:
    """Let one horizon replace the other: the preset may have set the one, the user the other."""
    rivals = {"num_iterations": "target_param_data_ratio"}
    rivals |= {other: key for key, other in rivals.items()}
    if name in rivals and value not in ("none", "null"):
        settings.pop(rivals[name], None)


def _steps(config: StageConfig, model: ModelConfig) -> int | None:
    if not isinstance(config, TrainConfig):
        return None
    if config.num_iterations is not None:
        return config.num_iterations
    if isinstance(config, BaseConfig) and config.target_param_data_ratio is not None:
        scaling = count_params(model).scaling
        return steps_for_ratio(config.target_param_data_ratio, scaling, config.total_batch_size)
    return None


def _costed(
    name: str,
    preset: str,
    stages: Sequence[StagePlan],
    base: BaseConfig,
    model: ModelConfig,
    data: DataConfig,
    hardware: Hardware,
) -> Plan:
    tokens = {stage.stage: _stage_tokens(stage, data) for stage in stages}
    flops = sum(tokens.values()) * flops_per_token(model)
    num_other = sum(stage.stage not in MODEL_STAGES for stage in stages)
    time_s = flops / training_flops_per_s(hardware) + num_other * OTHER_STAGE_S
    kept = sum(
        stage.config.keep_checkpoints + NUM_EXTRA_CHECKPOINTS
        for stage in stages
        if isinstance(stage.config, TrainConfig)
    )
    rate = hardware.usd_per_hour
    largest = max(
        (s.config.device_batch_size for s in stages if isinstance(s.config, TrainConfig)),
        default=base.device_batch_size,
    )
    return Plan(
        recipe=name,
        preset=preset,
        device=hardware.device,
        stages=tuple(stages),
        model=model,
        arch=base.arch,
        tokens=tokens.get("base", 0),
        flops=flops,
        steps=next((s.steps or 0 for s in stages if s.stage == "base"), 0),
        memory_bytes=training_memory_bytes(model, largest),
        disk_bytes=kept * checkpoint_bytes(model) + CORPUS_BYTES,
        time_s=round(time_s, 1),
        usd=None if rate is None else round(rate * time_s / 3600, 2),
        usd_per_hour=rate,
    )


def _stage_tokens(stage: StagePlan, data: DataConfig) -> int:
    config = stage.config
    if not isinstance(config, TrainConfig):
        return 0
    if stage.steps is not None:
        return stage.steps * config.total_batch_size
    assert isinstance(config, ChatTrainConfig)
    rows = data.num_mid if stage.stage == "mid" else data.num_sft
    return config.epochs * rows * TOKENS_PER_CONVERSATION


def training_flops_per_s(hardware: Hardware) -> float:
    """Return the speed that times are estimated from."""
    if not hardware.gpus:
        return hardware.num_cpus * CPU_CORE_FLOPS[hardware.has_cpu_bf16]
    # Slowest known card of the table for a name that is not in it.
    worst = min(value for _, value in PEAK_FLOPS)
    peaks = [lookup(PEAK_FLOPS, gpu.name) or worst for gpu in hardware.gpus]
    return GPU_MFU * sum(peaks)


def _short(count: float) -> str:
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}"
    return f"{count:.0f}"

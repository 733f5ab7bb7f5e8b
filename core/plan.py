"""A recipe resolved for one machine: every stage's full settings, with counts and costs.

Torch-free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from core.config import ModelConfig, config_hash
from core.device_rows import planned
from core.hardware import Hardware
from core.planning.costs import Costs, StageWork, plan_costs
from core.planning.machine import (
    Machine,
    chosen_gpus,
    idle_notes,
    machine_for,
    preset_notes,
    preset_slug,
    require_kernels,
)
from core.planning.memory import memory_notes
from core.planning.settings import stage_configs
from core.planning.sharing import share_batches
from core.planning.speed import fp8_notes
from core.planning.stages import chosen_stages
from core.scaling import count_params, micro_batches, model_config
from core.scaling_laws import horizon_steps
from core.settings.setting import StageConfig, naming
from core.settings.text import DataConfig, TokConfig
from core.settings.training import BaseConfig, TrainConfig
from runs.errors import UsageError

MODEL_STAGES = ("base", "mid", "sft")


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
class Plan(Costs):
    """What a run will do, and what that takes; `notes` are a preset's advice.

    is_here: whether the figures are for this machine, not for the one that the preset names.
    """

    recipe: str
    preset: str
    hardware: Hardware
    is_here: bool
    stages: tuple[StagePlan, ...]
    model: ModelConfig
    arch: str
    steps: int
    notes: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        """The device type that the stages run on."""
        return self.hardware.device

    @property
    def machine(self) -> str:
        """What the stages run on, in words."""
        gpus = self.hardware.gpus
        if not gpus:
            return f"{self.hardware.num_cpus} CPU cores"
        return f"{len(gpus)} x {gpus[0].name}"

    def to_json(self) -> dict[str, Any]:
        """Return the plan as `--dry-run --json` prints it and run.json stores it."""
        return {
            "recipe": self.recipe,
            "preset": self.preset,
            "device": self.device,
            "machine": self.machine,
            "is_here": self.is_here,
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
            "shards": self.shards,
            "memory_bytes": self.memory_bytes,
            "disk_bytes": self.disk_bytes,
            "disk": {
                "downloads": self.disk.downloads,
                "tokens": self.disk.tokens,
                "checkpoints": self.disk.checkpoints,
                "other": self.disk.other,
            },
            "token_cache": self.disk.token_cache,
            "time_s": self.time_s,
            "usd": self.usd,
            "usd_per_hour": self.usd_per_hour,
            "sources": dict(self.sources),
            "notes": list(self.notes),
        }

    def at_price(self, usd_per_hour: float | None) -> Plan:
        """Return the plan at a price that somebody names; itself where nobody does."""
        if usd_per_hour is None:
            return self
        source = f"time x ${usd_per_hour:.2f} an hour, as you gave it"
        return replace(
            self,
            usd=round(usd_per_hour * self.time_s / 3600, 2),
            usd_per_hour=usd_per_hour,
            sources={**self.sources, "usd": source},
        )

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
    presets: Mapping[str, Mapping[str, Any]] = recipe["presets"]
    slug = preset_slug(recipe["name"], preset, presets, hardware)
    known: Sequence[str] = recipe["stages"]
    chosen = chosen_stages(recipe["name"], known, only=only, until=until)
    num_gpus = nproc or chosen_gpus(preset, slug, hardware)
    machine = machine_for(presets[slug], hardware, nproc=num_gpus)
    ranks = nproc or max(1, len(machine.hardware.gpus))
    values = stage_configs(recipe, presets[slug], overrides, num_ranks=ranks)
    shared = share_batches(values, overrides, ranks, chosen=chosen)
    configs = shared.configs
    base, tok = configs["base"], configs["tok"]
    assert isinstance(base, BaseConfig) and isinstance(tok, TokConfig)
    with naming("base"):
        model = model_config(base, tok.vocab_size)
    if machine.hardware.device == "mps" and ranks > 1:
        raise UsageError(f"an Apple GPU runs one rank, not {ranks}; leave out --nproc")
    stages = []
    for stage in chosen:
        config = configs[stage]
        if isinstance(config, TrainConfig):
            with naming(stage):
                require_kernels(config, machine.hardware)
                # Without base the row length is the parent's, and the stage itself checks.
                if "base" in chosen:
                    costed = planned(config, model, machine.hardware, num_ranks=ranks)
                    micro_batches(costed, model.sequence_len, ranks)
        stages.append(
            StagePlan(
                stage=stage,
                config=config,
                inputs=stage_inputs(stage, known),
                steps=_steps(config, model),
                nproc=ranks if stage in MODEL_STAGES else 1,
            )
        )
    trained = {s.stage: s.config for s in stages if isinstance(s.config, TrainConfig)}
    notes = (
        *preset_notes(presets[slug]),
        *shared.notes(chosen),
        *_machine_notes(trained, model, machine, num_ranks=ranks),
        *idle_notes(machine, hardware),
    )
    return _plan(recipe["name"], slug, stages, configs, model, machine, notes)


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


def _machine_notes(
    trained: Mapping[str, TrainConfig], model: ModelConfig, machine: Machine, *, num_ranks: int
) -> tuple[str, ...]:
    stages, hardware = list(trained.items()), machine.hardware
    return (
        *fp8_notes(stages, model, hardware),
        *memory_notes(stages, model, hardware, num_ranks=num_ranks),
    )


def _steps(config: StageConfig, model: ModelConfig) -> int | None:
    if isinstance(config, BaseConfig):
        return horizon_steps(config, model)
    return config.num_iterations if isinstance(config, TrainConfig) else None


def _plan(
    name: str,
    slug: str,
    stages: Sequence[StagePlan],
    configs: Mapping[str, StageConfig],
    model: ModelConfig,
    machine: Machine,
    notes: tuple[str, ...],
) -> Plan:
    base, data = configs["base"], configs["data"]
    assert isinstance(base, BaseConfig) and isinstance(data, DataConfig)
    work = []
    for s in stages:
        config = s.config
        if isinstance(config, TrainConfig):
            config = planned(config, model, machine.hardware, num_ranks=s.nproc)
        work.append(StageWork(stage=s.stage, config=config, steps=s.steps))
    num_ranks = max((s.nproc for s in stages), default=1)
    base = planned(base, model, machine.hardware, num_ranks=num_ranks)
    costs = plan_costs(work, base, data, model, machine.hardware, num_ranks=num_ranks)
    return Plan(
        **{spec.name: getattr(costs, spec.name) for spec in fields(costs)},
        recipe=name,
        preset=slug,
        hardware=machine.hardware,
        is_here=machine.is_here,
        stages=tuple(stages),
        model=model,
        arch=base.arch,
        steps=next((s.steps or 0 for s in stages if s.stage == "base"), 0),
        notes=notes,
    )


def _short(count: float) -> str:
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}"
    return f"{count:.0f}"

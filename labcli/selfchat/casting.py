"""Who talks: from references on the command line to checkpoints and casts.

A base model takes no part: it has not learned to take turns, and what it writes after the markers
of a chat says nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.experiments.selfchat.script import Cast
from labcli.launching.experiments import tokenizer_sha256
from runs.errors import NotFound, UsageError
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from runs.refs import ResolvedCheckpoint, parse_ref, resolve_checkpoint
from runs.views.checkpoints import committed

CHAT_STAGES = ("mid", "sft", "rl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Casting:
    """Checkpoints by the key of their input, and who of them talks with whom."""

    checkpoints: dict[str, ResolvedCheckpoint]
    casts: tuple[Cast, ...]


def cast_models(home: LabHome, refs: Sequence[str]) -> Casting:
    """Return one model with itself, or two with each other; none: the last finished run's.

    Raises:
        NotFound: a reference leads nowhere.
        UsageError: more than two, a base model, or models with different tokenizers.
    """
    if len(refs) > 2:
        raise UsageError(f"--model was given {len(refs)} times; one or two models talk")
    found = [resolve_checkpoint(home, ref) for ref in refs or (None,)]
    for one in found:
        _require_chat(one)
    first, last = found[0], found[-1]
    if first.path == last.path:
        cast = Cast(key_a="a", key_b="a", name_a=first.name, name_b=first.name)
        return Casting(checkpoints={"a": first}, casts=(cast,))
    if tokenizer_sha256(first) != tokenizer_sha256(last):
        raise UsageError(
            f"{first.name} and {last.name} have different tokenizers; "
            "models talk to each other when they share one"
        )
    cast = Cast(key_a="a", key_b="b", name_a=first.name, name_b=last.name)
    return Casting(checkpoints={"a": first, "b": last}, casts=(cast,))


def cast_timeline(home: LabHome, refs: Sequence[str]) -> Casting:
    """Return every kept checkpoint of a run's chat stages, each with itself, in their order.

    A stage in the reference leaves out the others.

    Raises:
        NotFound: the reference leads nowhere.
        UsageError: several references, one with a step, or a checkpoint that lies in no run.
    """
    if len(refs) > 1:
        raise UsageError("--every-checkpoint follows one model; give --model once")
    ref = refs[0] if refs else None
    newest = resolve_checkpoint(home, ref)
    _require_chat(newest)
    if not newest.run_id:
        raise UsageError(f"{newest.path} lies in no run, so it has no earlier checkpoints")
    asked = parse_ref(ref) if ref is not None and "/" not in ref else None
    if asked is not None and asked.step is not None:
        raise UsageError(f"--every-checkpoint takes all steps; leave @{asked.step} out of {ref}")
    run_dir = newest.path.parents[2]
    stages = [entry.stage for entry in load_record(run_dir).stages if entry.stage in CHAT_STAGES]
    if asked is not None and asked.stage is not None:
        stages = [asked.stage]
    checkpoints, casts = {}, []
    for stage in stages:
        for kept in committed(RunPaths(run_dir).checkpoints_dir(stage)):
            one = resolve_checkpoint(home, f"{newest.run_id}:{stage}@{kept.step}")
            key = f"{stage}@{kept.step}"
            checkpoints[key] = one
            casts.append(
                Cast(
                    key_a=key, key_b=key, name_a=one.name, name_b=one.name,
                    stage=stage, step=kept.step,
                )
            )  # fmt: skip
    if not casts:
        raise NotFound(f"{newest.name} has no checkpoint of {', '.join(CHAT_STAGES)}")
    return Casting(checkpoints=checkpoints, casts=tuple(casts))


def _require_chat(found: ResolvedCheckpoint) -> None:
    if found.stage == "base":
        raise UsageError(
            f"{found.name} is a base model, which has not learned to take turns; "
            "name a checkpoint of mid or sft"
        )

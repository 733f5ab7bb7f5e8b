"""What a draft comes to: its rows, its plan, and what is wrong with which row.

Reads the recipe, the lab home and the machine; belongs into a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.config import STAGE_CONFIGS
from core.hardware import Hardware
from core.plan import Plan
from core.planning.request import PlanRequest, plan_for, recipe_of
from runs.errors import LabError, UsageError
from runs.labels import check_name, check_note, check_tag
from runs.lineage.inputs import given_inputs, missing_inputs
from runs.paths import LabHome
from runs.recipe import list_recipes, load_recipe
from runs.scheduling.budget import Budget
from runs.scheduling.queue import check_priority
from runs.scheduling.reuse import find_finished
from runs.supervision.policy import Policy
from runs.views.run_view import RunView
from tui.launch.draft import RECIPE, Draft, split_tags
from tui.launch.fields import Field, Offers, effective_texts, run_fields, stage_fields

# The rows that decide which settings there are.
SHAPING = ("preset", "until", "only", "nproc")
WHOLE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What is known about a draft.

    problems: by the key of the row that is to blame, or "" where none of them is.
    effective: what every setting would be. done_by: the finished run that has done it already.
    missing: what has to come from another run, with the stage that makes it.
    """

    draft: Draft
    fields: tuple[Field, ...]
    hardware: Hardware
    problems: Mapping[str, str] = field(default_factory=dict)
    plan: Plan | None = None
    effective: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    done_by: RunView | None = None
    free_bytes: int | None = None

    @property
    def is_startable(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.plan is not None and not self.problems


def examine(draft: Draft, home: LabHome, hardware: Hardware, runs: tuple[str, ...]) -> Examined:
    """Return the rows, the plan and the problems of a draft.

    runs: what the row `from` offers.
    """
    problems = option_problems(draft)
    try:
        recipe = load_recipe(recipe_of(draft.what, list_recipes()))
    except LabError as error:
        rows = run_fields(Offers(recipes=list_recipes(), runs=runs))
        told = {**problems, RECIPE: str(error)}
        return Examined(draft=draft, fields=rows, hardware=hardware, problems=told)
    stages = () if draft.what in STAGE_CONFIGS else tuple(recipe["stages"])
    offers = Offers(
        recipes=list_recipes(), presets=tuple(recipe["presets"]), stages=stages, runs=runs
    )

    def plan_of(some: Draft) -> Plan:
        return plan_for(request_of(some), recipe, hardware)

    problems |= _shape_problems(draft, plan_of)
    sound = Draft(texts={key: text for key, text in draft.texts.items() if key not in problems})
    shape = _plan_without_settings(sound, plan_of)
    rows = (*run_fields(offers), *stage_fields(shape.stages if shape else ()))
    plan: Plan | None = None
    try:
        plan = plan_of(sound)
    except UsageError as error:
        problems |= blamed(sound, plan_of) or {WHOLE: str(error)}
    if plan is None:
        return Examined(draft=draft, fields=rows, hardware=hardware, problems=problems)
    told, found = _limits_and_inputs(draft, plan, home)
    return Examined(
        draft=draft,
        fields=rows,
        hardware=hardware,
        problems={**told, **problems},
        plan=plan,
        effective=effective_texts(plan.stages),
        missing=_missing(plan),
        done_by=found,
        free_bytes=home.disk_free_bytes,
    )


def request_of(draft: Draft) -> PlanRequest:
    """Return what is to be planned; rows that hold no number count as empty."""
    return PlanRequest(
        what=draft.what,
        preset=draft.get("preset") or "auto",
        overrides=draft.overrides,
        only=draft.get("only"),
        until=draft.get("until"),
        nproc=_number(draft.get("nproc")),
        seed=_number(draft.get("seed")),
    )


def blamed(draft: Draft, plan_of: Callable[[Draft], Plan]) -> dict[str, str]:
    """Return the settings without which the plan would stand, else those that fail alone."""
    try:
        plan_of(draft)
    except UsageError as error:
        message = str(error)
    else:
        return {}
    found = {key: message for key in draft.settings if _error(plan_of, draft.without(key)) is None}
    if found:
        return found
    bare = Draft(texts={key: text for key, text in draft.texts.items() if "." not in key})
    alone = {
        key: _error(plan_of, bare.with_text(key, text, "")) for key, text in draft.settings.items()
    }
    return {key: told for key, told in alone.items() if told is not None}


def option_problems(draft: Draft) -> dict[str, str]:
    """Return what is wrong with the options of the run, each looked at alone."""
    return {
        key: told
        for key, check in _CHECKS.items()
        if (text := draft.get(key)) is not None and (told := _refusal(check, text)) is not None
    }


def _shape_problems(draft: Draft, plan_of: Callable[[Draft], Plan]) -> dict[str, str]:
    """Return which of the shaping rows cannot be followed."""
    texts = {RECIPE: draft.texts[RECIPE]} if RECIPE in draft.texts else {}
    problems = {}
    for key in SHAPING:
        text = draft.get(key)
        if text is None or (key == "nproc" and _number(text) is None):
            continue
        told = _error(plan_of, Draft(texts={**texts, key: text}))
        if told is None:
            texts[key] = text
        else:
            problems[key] = told
    return problems


def _plan_without_settings(draft: Draft, plan_of: Callable[[Draft], Plan]) -> Plan | None:
    bare = {key: text for key, text in draft.texts.items() if "." not in key and key != "seed"}
    try:
        return plan_of(Draft(texts=bare))
    except UsageError:
        return None


def _limits_and_inputs(
    draft: Draft, plan: Plan, home: LabHome
) -> tuple[dict[str, str], RunView | None]:
    """Return what is wrong with the limits and inputs, and the run that did the same."""
    problems: dict[str, str] = {}
    limits = {key: _amount(draft.get(key)) for key in ("max_usd", "max_hours", "usd_per_hour")}
    price = limits["usd_per_hour"] or plan.usd_per_hour
    try:
        Budget(max_usd=limits["max_usd"], max_hours=limits["max_hours"], usd_per_hour=price)
    except UsageError as error:
        problems["usd_per_hour" if price is None else "max_usd"] = str(error)
    try:
        Policy(
            retries=_number(draft.get("retries")) or 0,
            on_stall="restart" if draft.get("on_stall") == "restart" else "wait",
        )
    except UsageError as error:
        problems["on_stall"] = str(error)
    body = plan.to_json()
    try:
        given_inputs(home, body, draft.get("from"))
        done_by = find_finished(home, body, draft.get("from")) if draft.is_on("needed") else None
    except (LabError, OSError) as error:
        return {**problems, "from": str(error)}, None
    return problems, done_by


def _missing(plan: Plan) -> Mapping[str, str]:
    try:
        return missing_inputs(plan.to_json())
    except UsageError:
        return {}


def _error(plan_of: Callable[[Draft], Plan], draft: Draft) -> str | None:
    try:
        plan_of(draft)
    except UsageError as error:
        return str(error)
    return None


def _refusal(check: Callable[[str], Any], text: str) -> str | None:
    try:
        check(text)
    except UsageError as error:
        return str(error)
    return None


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text.replace("_", ""))
    except ValueError:
        return None


def _amount(text: str | None) -> float | None:
    try:
        value = None if text is None else float(text)
    except ValueError:
        return None
    return value if value is not None and 0 < value < float("inf") else None


def _whole(text: str, *, lowest: int | None = None) -> None:
    number = _number(text)
    if number is None or (lowest is not None and number < lowest):
        bound = "" if lowest is None else f" of {lowest} or more"
        raise UsageError(f"a whole number{bound}, not {text!r}")


def _positive(text: str) -> None:
    if _amount(text) is None:
        raise UsageError(f"a number above 0, not {text!r}")


def _priority(text: str) -> None:
    _whole(text)
    check_priority(_number(text) or 0)


def _tags(text: str) -> None:
    for tag in split_tags(text):
        check_tag(tag)


def _one_of(*choices: str) -> Callable[[str], None]:
    def check(text: str) -> None:
        if text not in choices:
            raise UsageError(f"{' or '.join(choices)}, not {text!r}")

    return check


_CHECKS: Mapping[str, Callable[[str], None]] = {
    "name": check_name,
    "tags": _tags,
    "note": check_note,
    "seed": _whole,
    "max_usd": _positive,
    "max_hours": _positive,
    "usd_per_hour": _positive,
    "priority": _priority,
    "nproc": lambda text: _whole(text, lowest=1),
    "retries": lambda text: _whole(text, lowest=0),
    "on_stall": _one_of("wait", "restart"),
    "needed": _one_of("yes", "no"),
    "queue": _one_of("yes", "no"),
}

"""The lineage of a run: which stage made what, out of what, by content hash; and what is stale.

A stage is stale when something that it was made from is gone, has changed, or has been made
anew since, or comes from a stage that is stale. Pure reading: nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from runs.errors import LabError
from runs.lineage.made import CHECKPOINT, Condition, Made, StageLog, condition, stage_log
from runs.paths import LabHome, RunPaths
from runs.record import RunRecord, load_record
from runs.views.checkpoints import newest
from runs.views.query import load_run, run_dirs
from runs.views.run_view import RunView

SUMMARY = "summary"
REPORT = "report"
UseState = Literal["ok", "changed", "gone", "remade", "stale"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class StageKey:
    """A stage of a run."""

    run_id: str
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a stage made, and whether it is still as it was."""

    label: str
    path: Path
    sha256: str
    num_bytes: int | None
    condition: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a stage was made from; `producer` is None for what lies in no run of this lab."""

    name: str
    label: str
    sha256: str
    producer: StageKey | None
    state: UseState = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageNode:
    """One stage with its inputs and outputs; `state` is that of the run's view."""

    key: StageKey
    slug: str
    state: str
    outputs: tuple[Output, ...] = ()
    uses: tuple[Use, ...] = ()

    @property
    def is_stale(self) -> bool:
        """Whether an input is no longer what this stage was made from."""
        return any(use.state != "ok" for use in self.uses)

    @property
    def has_run(self) -> bool:
        """Whether there is anything that could be stale."""
        return self.state != "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """The stages of a run, those they were made from, and those made from them, oldest first."""

    run_id: str
    slug: str
    nodes: Mapping[StageKey, StageNode] = field(default_factory=dict)

    @property
    def stale(self) -> tuple[StageNode, ...]:
        """The stages that no longer follow from their inputs."""
        return tuple(node for node in self.nodes.values() if node.is_stale)

    @property
    def rebuild(self) -> tuple[StageNode, ...]:
        """What to run again, in this order: what made a lost input, and all that is stale."""
        lost = {
            use.producer
            for node in self.stale
            for use in node.uses
            if use.state in ("gone", "changed") and use.producer is not None
        }
        again = [node for key, node in self.nodes.items() if key in lost or node.is_stale]
        # A report speaks of the stages of its own run; those that are run again get their own.
        return tuple(node for node in again if node.key.stage != REPORT)


def lineage_of(home: LabHome, run_dir: Path, *, deep: bool = False) -> Lineage:
    """Return the lineage of a run; `deep` hashes every file that a directory lists."""
    lab = _Lab(home)
    record = load_record(run_dir)
    wanted = [StageKey(run_id=record.run_id, stage=entry.stage) for entry in record.stages]
    keys = dict.fromkeys([*_ancestors(lab, wanted), *wanted, *_descendants(lab, wanted)])
    nodes: dict[StageKey, StageNode] = {}
    for key in _ordered(lab, keys):
        node = lab.node(key, keys, deep=deep)
        # What has not run will be made from whatever is there then.
        uses = tuple(_inherit(use, nodes) for use in node.uses) if node.has_run else node.uses
        nodes[key] = replace(node, uses=uses)
    return Lineage(run_id=record.run_id, slug=record.slug, nodes=nodes)


def _inherit(use: Use, nodes: Mapping[StageKey, StageNode]) -> Use:
    producer = nodes.get(use.producer) if use.producer else None
    is_inherited = use.state == "ok" and producer is not None and producer.is_stale
    return replace(use, state="stale") if is_inherited else use


class _Lab:
    """The runs of a lab home, read once and only as far as they are needed."""

    def __init__(self, home: LabHome) -> None:
        self.records: dict[str, tuple[Path, RunRecord]] = {}
        for path in run_dirs(home):
            try:
                record = load_record(path)
            except LabError:
                continue
            self.records[record.run_id] = (path, record)
        self._logs: dict[StageKey, StageLog] = {}
        self._views: dict[str, RunView] = {}

    def log(self, key: StageKey) -> StageLog:
        if key not in self._logs:
            self._logs[key] = stage_log(self.records[key.run_id][0], key.stage)
        return self._logs[key]

    def view(self, run_id: str) -> RunView:
        if run_id not in self._views:
            self._views[run_id] = load_run(self.records[run_id][0])
        return self._views[run_id]

    def producers(self, key: StageKey) -> Iterator[tuple[str, StageKey | None]]:
        """Yield the inputs of a stage and the stage that made each; None when it is not known."""
        record = self.records[key.run_id][1]
        own = [entry.stage for entry in record.stages]
        inputs = dict(record.stage(key.stage).inputs)
        if key.stage == REPORT:
            inputs |= {f"{SUMMARY}:{stage}": stage for stage in own[: own.index(REPORT)]}
        for name, maker in inputs.items():
            if maker in own:
                yield name, StageKey(run_id=key.run_id, stage=maker)
            else:
                yield name, self._elsewhere(record, name)

    def node(self, key: StageKey, shown: Mapping[StageKey, None], *, deep: bool) -> StageNode:
        run_dir, record = self.records[key.run_id]
        view = self.view(key.run_id)
        states = {stage.stage: stage.state for stage in view.stages}
        makers = list(self.producers(key))
        if states.get(key.stage, "pending") == "pending":
            uses = [Use(name=name, label=name, sha256="", producer=maker) for name, maker in makers]
        else:
            found = [self._use(key, name, maker, deep=deep) for name, maker in makers]
            uses = [use for use in found if use is not None]
        return StageNode(
            key=key,
            slug=record.slug,
            state=states.get(key.stage, "pending"),
            outputs=tuple(self._outputs(key, run_dir, shown, deep=deep)),
            uses=tuple(uses),
        )

    def _elsewhere(self, record: RunRecord, name: str) -> StageKey | None:
        run_id, _, stage = record.inputs.get(name, {}).get("from", "").partition(":")
        if run_id not in self.records:
            return None
        stages = [entry.stage for entry in self.records[run_id][1].stages]
        return StageKey(run_id=run_id, stage=stage) if stage in stages else None

    def _use(
        self, key: StageKey, name: str, producer: StageKey | None, *, deep: bool
    ) -> Use | None:
        run_dir, record = self.records[key.run_id]
        started_s = self.log(key).started_s
        if producer is not None and producer.run_id == key.run_id:
            return self._own_use(name, producer, started_s, deep=deep)
        given = record.inputs.get(name)
        if given is None:
            return None
        path = RunPaths(run_dir).find(given["path"])
        sha256 = given.get("sha256", "")
        label = _checkpoint_label(name, path)
        state = condition(path, sha256, deep=deep)
        return Use(name=name, label=label, sha256=sha256, producer=producer, state=state)

    def _own_use(
        self, name: str, producer: StageKey, started_s: float | None, *, deep: bool
    ) -> Use | None:
        log = self.log(producer)
        what = name.partition(":")[0]
        if what == SUMMARY:
            is_older = started_s is not None and (log.started_s or 0.0) > started_s
            label = f"{SUMMARY} of {producer.stage}"
            state: UseState = "remade" if is_older else "ok"
            return Use(name=name, label=label, sha256="", producer=producer, state=state)
        used = log.newest(what, until_s=started_s)
        now = log.newest(what)
        if used is None or now is None:
            return None
        state = (
            "remade" if now.sha256 != used.sha256 else condition(used.path, used.sha256, deep=deep)
        )
        return Use(name=name, label=used.label, sha256=used.sha256, producer=producer, state=state)

    def _outputs(
        self, key: StageKey, run_dir: Path, shown: Mapping[StageKey, None], *, deep: bool
    ) -> Iterator[Output]:
        log = self.log(key)
        for name in log.names():
            last = log.newest(name)
            used = self._used_elsewhere(key, shown) if name == CHECKPOINT else set()
            for item in log.made:
                if item == last or (item.name == name and item.sha256 in used):
                    yield _output(item, deep=deep)
        # What was written but never announced, as when a worker died in between.
        committed = newest(RunPaths(run_dir).checkpoints_dir(key.stage))
        if committed is not None and log.newest(CHECKPOINT) is None:
            label = f"{CHECKPOINT}@{committed.step}"
            yield Output(
                label=label, path=committed.path, sha256="", num_bytes=None, condition="ok"
            )

    def _used_elsewhere(self, key: StageKey, shown: Mapping[StageKey, None]) -> set[str]:
        runs = {other.run_id for other in shown if other.run_id != key.run_id}
        return {
            given.get("sha256", "")
            for run_id in runs
            for given in self.records[run_id][1].inputs.values()
        }


def _output(item: Made, *, deep: bool) -> Output:
    return Output(
        label=item.label,
        path=item.path,
        sha256=item.sha256,
        num_bytes=item.num_bytes,
        condition=condition(item.path, item.sha256, deep=deep),
    )


def _checkpoint_label(name: str, path: Path) -> str:
    step = path.name.removeprefix("step_")
    is_checkpoint = name.partition(":")[0] == CHECKPOINT and step.isdigit()
    return f"{name}@{int(step)}" if is_checkpoint else name


def _ancestors(lab: _Lab, keys: list[StageKey]) -> dict[StageKey, None]:
    found: dict[StageKey, None] = {}
    queue = list(keys)
    while queue:
        for _, producer in lab.producers(queue.pop()):
            if producer is not None and producer not in found:
                found[producer] = None
                queue.append(producer)
    return found


def _descendants(lab: _Lab, keys: list[StageKey]) -> dict[StageKey, None]:
    users: dict[StageKey, list[StageKey]] = {}
    for run_id, (_, record) in lab.records.items():
        for entry in record.stages:
            key = StageKey(run_id=run_id, stage=entry.stage)
            for _, producer in lab.producers(key):
                if producer is not None:
                    users.setdefault(producer, []).append(key)
    found: dict[StageKey, None] = {}
    queue = list(keys)
    while queue:
        for user in users.get(queue.pop(), []):
            if user not in found:
                found[user] = None
                queue.append(user)
    return found


def _ordered(lab: _Lab, keys: Mapping[StageKey, None]) -> list[StageKey]:
    """Return the stages by run, oldest first, and in a run as they were executed."""

    def place(key: StageKey) -> tuple[str, int]:
        stages = [entry.stage for entry in lab.records[key.run_id][1].stages]
        return key.run_id, stages.index(key.stage)

    return sorted(keys, key=place)

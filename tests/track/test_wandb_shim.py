"""What stands in for wandb: keeps numbers, accepts anything, and never ends a training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runs.events import EventRecord, read_events
from runs.track.contract import EVENTS_VARIABLE, SAID_VARIABLE, SHIM_DIR


class Scripted:
    """A script that was run with our wandb and without any package of ours on its path."""

    def __init__(self, directory: Path, code: str, **env: str) -> None:
        self.events_path = directory / "events" / "track.a1.r0.jsonl"
        self.said_path = directory / "said" / "wandb.json"
        place = directory / "project"
        place.mkdir(exist_ok=True)
        (place / "train.py").write_text(code)
        variables = {
            EVENTS_VARIABLE: str(self.events_path),
            SAID_VARIABLE: str(self.said_path),
            "PYTHONPATH": str(SHIM_DIR),
            "PATH": os.environ["PATH"],
            **env,
        }
        self.done = subprocess.run(
            [sys.executable, "-S", str(place / "train.py")],
            env=variables, cwd=place, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    @property
    def events(self) -> list[EventRecord]:
        return list(read_events(self.events_path))

    @property
    def steps(self) -> list[tuple[int, dict[str, object]]]:
        return [(e.data["step"], e.data["metrics"]) for e in self.events if e.kind == "step"]


def test_numbers_are_kept_at_the_step_that_the_script_means(tmp_path: Path) -> None:
    scripted = Scripted(
        tmp_path,
        """
import wandb
with wandb.init(project="p") as run:
    run.log({"loss": 3.0})
    wandb.log({"loss": 2.0})
    wandb.log({"loss": 1.5}, step=10)
    wandb.log({"step": 200, "train/loss": 1.0})
""",
    )
    assert scripted.done.returncode == 0 and scripted.done.stderr == ""
    assert scripted.steps == [
        (0, {"loss": 3.0}), (1, {"loss": 2.0}), (10, {"loss": 1.5}),
        (200, {"train/loss": 1.0}),
    ]  # fmt: skip


def test_parts_of_a_step_that_is_not_committed_are_joined(tmp_path: Path) -> None:
    scripted = Scripted(
        tmp_path,
        """
import wandb
wandb.init()
wandb.log({"a": 1}, commit=False)
wandb.log({"b": 2})
wandb.log({"last": 3}, commit=False)
""",
    )
    assert scripted.steps == [(0, {"a": 1.0, "b": 2.0}), (1, {"last": 3.0})]


def test_config_summary_name_and_tags_are_kept_whole(tmp_path: Path) -> None:
    scripted = Scripted(
        tmp_path,
        """
import argparse, wandb
run = wandb.init(project="p", name="n", tags=["t"], notes="why", config=argparse.Namespace(lr=0.1))
wandb.config.update({"depth": 4}, allow_val_change=True)
wandb.config.layers = {"a": [1, 2]}
assert wandb.config.lr == 0.1 and wandb.config["depth"] == 4
wandb.log({"loss": 2.0})
run.summary["best"] = 1.5
wandb.finish()
""",
    )
    assert scripted.done.stderr == ""
    said = json.loads(scripted.said_path.read_text())
    assert said["config"] == {"lr": 0.1, "depth": 4, "layers": {"a": [1, 2]}}
    assert said["summary"] == {"loss": 2.0, "best": 1.5}
    assert (said["name"], said["tags"], said["notes"]) == ("n", ["t"], "why")


def test_any_other_use_of_wandb_does_nothing_and_does_not_fail(tmp_path: Path) -> None:
    scripted = Scripted(
        tmp_path,
        """
import wandb
from wandb.sdk.lib import RunDisabled
from wandb.integration.keras import WandbCallback
import wandb.plot
assert wandb.run is None
wandb.login(key="x"); wandb.require("core")
run = wandb.init(mode="online", settings=wandb.Settings(start_method="thread"))
wandb.define_metric("loss", step_metric="step"); wandb.watch(object(), log="all")
table = wandb.Table(columns=["a"]); table.add_data(1)
artifact = wandb.Artifact("model", type="model")
with artifact.new_file("x") as f: pass
run.log_artifact(artifact).wait(); run.use_artifact("x:latest").download()
run.save("*.pt"); run.log_code("."); run.mark_preempting()
wandb.log({"image": wandb.Image(None), "table": table, "text": "t", "h": wandb.Histogram([1]),
           "ok": 1, "nested": {"deep": {"x": 2}}, "plot": wandb.plot.line(table, "a", "b")})
wandb.log(None); wandb.log({"bad": object()}, step="seven"); run.log(5)
class Odd:
    def __float__(self): raise RuntimeError("on a device that is gone")
wandb.log({"odd": Odd(), "fine": float("nan")})
wandb.alert("loss", "is nan", level=wandb.AlertLevel.ERROR)
print(run.url, run.step, wandb.Api().runs("x"), isinstance(run, wandb.Image))
""",
    )
    assert scripted.done.returncode == 0, scripted.done.stderr
    assert [metrics for _, metrics in scripted.steps][:1] == [{"ok": 1.0, "nested.deep.x": 2.0}]
    assert scripted.steps[-1][1] == {"fine": "NaN"}
    (alert,) = [event for event in scripted.events if event.kind == "alert"]
    assert alert.data["message"] == "loss: is nan" and alert.data["severity"] == "error"


def test_five_hundred_metrics_of_a_step_are_all_kept(tmp_path: Path) -> None:
    scripted = Scripted(
        tmp_path,
        """
import wandb
wandb.log({f"layer/{i}/gradient_norm": i / 7 for i in range(500)}, step=3)
""",
    )
    kept = {
        key: value
        for step, metrics in scripted.steps
        if step == 3
        for key, value in metrics.items()
    }
    assert kept == {f"layer/{i}/gradient_norm": i / 7 for i in range(500)}
    assert max(map(len, scripted.events_path.read_bytes().splitlines())) < 4096


def test_every_step_is_one_write_that_survives_a_kill(tmp_path: Path) -> None:
    scripted = Scripted(
        tmp_path,
        """
import os, signal, wandb
for i in range(50): wandb.log({"loss": i})
os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    assert scripted.done.returncode == -9
    assert [step for step, _ in scripted.steps] == list(range(50))


def test_script_with_a_package_named_as_ours_keeps_its_own(tmp_path: Path) -> None:
    (tmp_path / "project" / "runs").mkdir(parents=True)
    (tmp_path / "project" / "runs" / "__init__.py").write_text("mine = True")
    scripted = Scripted(
        tmp_path,
        """
import runs, wandb
wandb.log({"a": 1})
assert runs.mine
""",
    )
    assert scripted.done.returncode == 0, scripted.done.stderr
    assert scripted.steps == [(0, {"a": 1.0})]


@pytest.mark.parametrize("where", ["/proc/nowhere/track.a1.r0.jsonl", ""])
def test_unwritable_log_costs_one_line_and_not_the_training(tmp_path: Path, where: str) -> None:
    env = {EVENTS_VARIABLE: where, SAID_VARIABLE: where}
    scripted = Scripted(
        tmp_path,
        """
import wandb
wandb.init(config={"a": 1})
for i in range(3): wandb.log({"loss": i})
wandb.finish()
""",
        **env,
    )
    assert scripted.done.returncode == 0
    assert len(scripted.done.stderr.splitlines()) == 1
    assert scripted.done.stderr.startswith("labcli: not all that wandb is told is kept")


def test_logging_nothing_writes_nothing(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, "import wandb\nwandb.log({})\nwandb.log({'text': 'x'})")
    assert scripted.done.returncode == 0 and scripted.steps == []


def test_other_ranks_write_logs_of_their_own(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, "import wandb\nwandb.log({'a': 1})", RANK="2")
    assert not scripted.events_path.exists()
    assert (scripted.events_path.parent / "track.a1.r2.jsonl").exists()

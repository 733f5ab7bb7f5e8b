"""Alerts reach people, and a target that is dead makes nobody wait."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runs.alerting.alerts import read_alerts, usual_speed, written_alerts
from runs.alerting.desk import AlertDesk
from runs.alerting.notify import Message, Notifier, deliver, post
from runs.events import EventLog
from runs.log import append_record, read_log
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from runs.settings import AlertRules, NotifySettings
from runs.supervision.control import fold_control
from runs.supervision.host import HostLog
from runs.supervision.process import is_alive
from runs.views.query import load_run
from tests.builders import build_run, step
from tests.cli.conftest import Labcli
from tests.lineage.hooks import Hook, hook_server
from tests.lineage.spiky_worker import SPIKE_AT
from tests.runs.builders import kill_everything, make_run, start, wait_for, wait_for_state
from tui.live.feed import RunFeed
from tui.live.state import LiveView, apply

SPIKY_WORKER = (str(Path(__file__).parent / "spiky_worker.py"),)


def message(code: str = "spike") -> Message:
    return Message(
        run_id="R", run="speedrun-añejo", code=code, severity="warning",
        message="loss jumps to 9", stage="base", step=60,
    )  # fmt: skip


@pytest.fixture
def lab(home: LabHome) -> Iterator[LabHome]:
    yield home
    kill_everything(home)


def outcomes(paths: RunPaths) -> list[bool]:
    found = [record for record in read_log(paths.host) if record.kind == "notify"]
    return [record.data["is_sent"] is True for record in found]


def test_a_webhook_gets_json_and_ntfy_gets_text() -> None:
    with hook_server() as hook:
        assert post("webhook", hook.url, message()) is None
        assert post("ntfy", hook.url, message()) is None
    body = json.loads(hook.bodies[0])
    assert (body["code"], body["stage"], body["step"]) == ("spike", "base", 60)
    assert body["text"] == "speedrun-añejo base step 60: loss jumps to 9 [spike]"
    assert hook.bodies[1].decode() == body["text"]
    assert hook.headers[1]["Priority"] == "4"


@pytest.mark.parametrize(
    ("conduct", "num_tries"), [("hang", 3), ("drop", 3), ("fail", 3), ("refuse", 1)]
)
def test_a_dead_target_is_tried_again_and_given_up(conduct: str, num_tries: int) -> None:
    with hook_server(conduct) as hook:  # type: ignore[arg-type]
        pauses: list[float] = []
        problem = deliver(
            "webhook", hook.url, message(), wait=pauses.append, timeout_s=0.2, retry_s=(1.0, 5.0)
        )
        assert problem
        assert (hook.num_tries, len(pauses)) == (num_tries, num_tries - 1)


def test_an_address_that_cannot_be_used_is_a_problem_and_no_error() -> None:
    assert post("webhook", "http://[::bad/", message())
    assert post("webhook", "http://127.0.0.1:1/", message()) == "Connection refused"


def test_sending_never_waits_for_a_server_that_hangs(home: LabHome) -> None:
    paths = make_run(home)
    with hook_server("hang") as hook:
        notifier = Notifier(paths.run_dir, NotifySettings(webhook=hook.url))
        began = time.monotonic()
        for _ in range(500):
            notifier.send(message())
        # One that waited would wait for the sender's time-out, hundreds of times.
        assert time.monotonic() - began < 5.0


def test_what_has_not_arrived_when_the_supervisor_leaves_arrives_later(
    home: LabHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_run(home)
    with hook_server("fail") as hook:
        monkeypatch.setenv("LABCLI_NOTIFY_WEBHOOK", hook.url)
        notifier = Notifier(paths.run_dir, NotifySettings(webhook=hook.url))
        notifier.send(message("one"))
        notifier.send(message("two"))
        wait_for(lambda: hook.num_tries, "the first try")
        began = time.monotonic()
        notifier.close(wait_s=0.1)
        assert time.monotonic() - began < 5.0
        hook.conduct = "take"
        wait_for(lambda: len(hook.bodies) == 2, "the messages that were left")
        wait_for(lambda: outcomes(paths) == [True, True], "the outcome to be written down")
    assert {body["code"] for body in hook.messages} == {"one", "two"}


def run_spiky(home: LabHome) -> RunPaths:
    paths = make_run(home, {"base": {}}, worker=SPIKY_WORKER)
    start(paths)
    wait_for_state(paths, "finished")
    wait_for(lambda: not load_run(paths.run_dir).problem, "the supervisor to be done")
    return paths


def test_a_supervised_run_writes_and_sends_its_alerts(
    lab: LabHome, labcli: Labcli, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook_server() as hook:
        monkeypatch.setenv("LABCLI_NOTIFY_WEBHOOK", hook.url)
        paths = run_spiky(lab)
        wait_for(lambda: len(hook.bodies) == 2, "the alert and the end")
        sent = {body["code"]: body for body in hook.messages}
    assert sent["spike"]["step"] == SPIKE_AT
    assert sent["ended"]["message"] == "the run is finished"
    (alert,) = written_alerts(paths.run_dir)
    assert (alert.code, alert.stage, alert.attempt, alert.step) == ("spike", "base", 1, SPIKE_AT)
    assert read_alerts(paths.run_dir, AlertRules(spike_z=1e9)) == [alert]
    assert load_run(paths.run_dir).stages[0].num_alerts == 1
    assert "finished !1" in labcli("runs", "list").out
    assert "loss jumps to 9.000" in labcli("runs", "show", "last").out
    assert "spike" in labcli("runs", "tail", "last", "-n", "500").out


def test_a_webhook_that_hangs_delays_no_run(lab: LabHome, monkeypatch: pytest.MonkeyPatch) -> None:
    with hook_server("hang") as hook:
        monkeypatch.setenv("LABCLI_NOTIFY_WEBHOOK", hook.url)
        paths = run_spiky(lab)
        wait_for(lambda: hook.num_tries, "the first try")
        # A supervisor of the next attempt is let in as soon as this one has left.
        wait_for(lambda: _has_left(paths), "the supervisor to leave")


def _has_left(paths: RunPaths) -> bool:
    supervisor = fold_control(read_log(paths.control)).supervisor
    return supervisor is not None and not is_alive(supervisor)


def test_alerts_of_a_run_that_nobody_watched_are_found_and_each_is_listed_once(
    home: LabHome, labcli: Labcli
) -> None:
    run = build_run(home, stages=("base",))
    losses = [9.0 if number == 60 else 3.0 for number in range(1, 80)]
    run.finish("base", *(step(number, loss=loss) for number, loss in enumerate(losses, 1)))
    (found,) = read_alerts(run.paths.run_dir, AlertRules())
    assert (found.code, found.step) == ("spike", 60)
    body = {"code": "spike", "severity": "warning", "message": "seen", "stage": "base"}
    append_record(run.paths.host, "alert", {**body, "attempt": 1, "step": 60})
    assert [one.message for one in read_alerts(run.paths.run_dir, AlertRules())] == ["seen"]
    assert "base@60" in labcli("runs", "alerts").out


def test_the_dashboard_tells_of_alerts_beside_the_events(home: LabHome) -> None:
    run = build_run(home, stages=("base",)).log("base", step(1))
    body = {"code": "spike", "severity": "warning", "message": "up", "stage": "base", "attempt": 1}
    append_record(run.paths.host, "alert", body)
    feed = RunFeed(run.paths.run_dir, ["base"])
    lines = apply(LiveView(), feed.poll()).lines
    assert [line.text for line in lines if line.tone == "warning"] == ["warning spike: up"]
    assert feed.poll() == []


def test_a_supervisor_that_takes_over_does_not_say_the_same_again(home: LabHome) -> None:
    run = build_run(home, stages=("base",))
    losses = [9.0 if number == 60 else 3.0 for number in range(1, 80)]
    run.log("base", *(step(number, loss=loss) for number, loss in enumerate(losses, 1)))
    record = load_record(run.paths.run_dir)
    for _ in range(2):
        desk = AlertDesk(run.paths.run_dir, record, HostLog(run.paths.run_dir))
        desk.look("base", 1, is_last=True)
        desk.close()
    assert [alert.code for alert in written_alerts(run.paths.run_dir)] == ["spike"]


def test_broken_settings_cost_no_run_and_are_an_alert(home: LabHome) -> None:
    run = build_run(home, stages=("base",))
    (home.root / "settings.toml").write_text("[[[")
    AlertDesk(run.paths.run_dir, load_record(run.paths.run_dir), HostLog(run.paths.run_dir))
    assert [alert.code for alert in written_alerts(run.paths.run_dir)] == ["settings"]


def test_what_is_usual_comes_from_finished_runs_like_this_one(home: LabHome) -> None:
    for seed, mfu in ((1, 0.4), (2, 0.5), (3, 0.6)):
        run = build_run(home, stages=("base",), seed=seed, created_s=1_763_690_000.0 + seed)
        run.finish("base", *(step(number, mfu=mfu) for number in range(1, 60)))
    mine = build_run(home, stages=("base",), seed=9)
    record = load_record(mine.paths.run_dir)
    assert usual_speed(mine.paths, record, "base")["mfu"] == 0.5


def test_a_full_disk_is_an_alert_once_until_it_was_emptied(home: LabHome) -> None:
    paths = make_run(home)
    heard: list[str] = []
    host = HostLog(paths.run_dir)
    host.on_alert = lambda alert: heard.append(str(alert["code"]))
    sampler = host._sampler()
    for free_bytes in (5e9, 0.9e9, 0.8e9, 1.2e9, 0.9e9, 2e9, 0.9e9):
        alert = sampler.alert({"disk_free_bytes": free_bytes}, 1e9)
        if alert is not None:
            host.alert(**alert)
    assert heard == ["disk-low", "disk-low"]


def test_notify_shows_no_secret_and_tries_every_target(
    home: LabHome, labcli: Labcli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(hook: Hook) -> str:
        monkeypatch.setenv("LABCLI_NOTIFY_WEBHOOK", f"{hook.url}?token=secret")
        return labcli("runs", "notify", "--test").out

    with hook_server() as hook:
        out = shown(hook)
    assert "arrived" in out and "secret" not in out and hook.messages[0]["code"] == "test"
    with hook_server("refuse") as hook:
        assert "HTTP 404" in shown(hook)
    monkeypatch.delenv("LABCLI_NOTIFY_WEBHOOK")
    assert labcli("runs", "notify", "--test").code == 2


def test_a_reader_sees_alerts_written_while_it_reads(home: LabHome) -> None:
    run = build_run(home, stages=("base",))
    stop = threading.Event()

    def write() -> None:
        with EventLog(run.paths.events("base", 2)) as log:
            for number in range(200):
                log.append(step(number))
                append_record(run.paths.host, "alert", {"code": "x", "step": number})
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not stop.is_set():
        load_run(run.paths.run_dir)
    writer.join()
    assert load_run(run.paths.run_dir).num_alerts == 200

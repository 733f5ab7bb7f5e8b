"""What counts as wrong with a training: reported once, at the right step, and not for noise."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

import pytest

from runs.alerting.detect import Detector, Finding
from runs.errors import Corrupt, UsageError
from runs.events import EventRecord
from runs.paths import LabHome
from runs.settings import AlertRules, load_settings

RULES = AlertRules()


def record(step: int, *, total: int = 2000, **metrics: float) -> EventRecord:
    data = {"step": step, "total_steps": total, "metrics": metrics}
    return EventRecord(seq=step, t=float(step), kind="step", data=data)


def findings(detector: Detector, records: Iterable[EventRecord]) -> list[Finding]:
    return [finding for one in records for finding in detector.apply(one)]


def falling(step: int, noise: random.Random) -> float:
    """A loss like that of a real run: from 10 towards 3, with noise."""
    return (3.0 + 7.0 * math.exp(-step / 150)) * math.exp(noise.gauss(0, 0.03))


def codes(values: Iterable[float], key: str = "loss", **options: int) -> list[tuple[str, int]]:
    records = (record(step, **{key: value}) for step, value in enumerate(values, 1))  # type: ignore[arg-type]
    return [(one.code, one.step) for one in findings(Detector(AlertRules(**options)), records)]


def test_an_ordinary_training_raises_nothing() -> None:
    for seed in range(20):
        noise = random.Random(seed)
        assert codes(falling(step, noise) for step in range(1, 500)) == []


def test_a_spike_is_reported_once_at_its_step() -> None:
    noise = random.Random(1)
    losses = [falling(step, noise) for step in range(1, 400)]
    losses[299:303] = [2 * value for value in losses[299:303]]
    assert codes(losses) == [("spike", 300)]


def test_a_second_spike_is_reported_after_a_calm_while_and_not_before() -> None:
    noise = random.Random(1)
    losses = [falling(step, noise) for step in range(1, 600)]
    for step in (300, 310, 420):
        losses[step - 1] *= 2
    assert codes(losses) == [("spike", 300), ("spike", 420)]


def test_numbers_that_are_not_finite_are_reported_once() -> None:
    values = [3.0] * 50 + [math.nan] * 20 + [3.0] * 10 + [math.inf] * 5 + [3.0] * 100
    assert codes(values) == [("not-finite", 51)]
    message = findings(Detector(RULES), [record(1, loss=math.nan, grad_norm=1.0)])[0].message
    assert message == "loss is nan"


def test_an_evaluation_that_is_not_finite_is_reported() -> None:
    data = {"step": 7, "val_bpb": "NaN"}
    found = Detector(RULES).apply(EventRecord(seq=0, t=0.0, kind="eval", data=data))
    assert [(one.code, one.step) for one in found] == [("not-finite", 7)]


def test_divergence_is_seen_above_the_start_and_above_the_best() -> None:
    rising = [2.0 + step / 50 for step in range(200)]
    # The median of 16 steps lags by 7.5, that of the first 8 is 2.07: 1 nat more is step 63.
    assert ("divergence", 63) in codes(rising)
    lost = [10 - step / 20 for step in range(140)] + [3 + step / 20 for step in range(100)]
    assert [code for code, _ in codes(lost)] == ["divergence"]


def test_a_plateau_is_reported_when_the_loss_has_stopped_falling() -> None:
    noise = random.Random(2)
    flat = [3.0 + noise.gauss(0, 0.05) for _ in range(1000)]
    assert [code for code, _ in codes(flat)] == ["plateau"]


def test_a_drop_of_mfu_is_measured_against_the_beginning_or_against_earlier_runs() -> None:
    values = [0.4] * 100 + [0.2] * 50
    assert [code for code, _ in codes(values, key="mfu")] == ["mfu-drop"]
    usual = Detector(RULES, usual={"mfu": 0.4})
    slow_at_once = findings(usual, (record(step, mfu=0.25) for step in range(1, 60)))
    assert [one.code for one in slow_at_once] == ["mfu-drop"]
    assert slow_at_once[0].message == "MFU 25.0% is 62% of the 40.0% that earlier runs like it had"


def test_one_slow_step_is_no_drop() -> None:
    assert codes([0.4] * 60 + [0.01] + [0.4] * 60, key="mfu") == []


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"step": "x"},
        {"step": 1},
        {"step": 1, "metrics": []},
        {"step": 1, "metrics": {"loss": None, "mfu": "fast", "tok_per_sec": -1}},
        {"step": 1, "total_steps": "NaN", "metrics": {"loss": -5.0}},
        {"step": 1, "metrics": {"loss": 0}},
    ],
)
def test_malformed_events_are_no_alert_and_no_error(data: dict[str, object]) -> None:
    detector = Detector(RULES)
    for _ in range(500):
        assert not detector.apply(EventRecord(seq=0, t=0.0, kind="step", data=data))


def test_settings_come_from_the_file_and_the_environment(home: LabHome) -> None:
    assert load_settings(home, {}).alerts == AlertRules()
    home.root.mkdir(parents=True)
    text = '[notify]\nwebhook = "http://one"\nbell = true\n[alerts]\nspike_z = 9\n'
    (home.root / "settings.toml").write_text(text)
    env = {"LABCLI_NOTIFY_WEBHOOK": "", "LABCLI_NOTIFY_NTFY": "https://ntfy.sh/x"}
    found = load_settings(home, env)
    assert (found.notify.webhook, found.notify.ntfy) == (None, "https://ntfy.sh/x")
    assert found.notify.bell and found.alerts.spike_z == 9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[notfy]\n", "'notify'"),
        ("[alerts]\nspike_zz = 1\n", "'spike_z'"),
        ("[alerts]\nspike_z = -1\n", "above 0"),
        ('[notify]\nbell = "yes"\n', "takes a bool"),
        ('[notify]\nwebhook = "ftp://x"\n', "https://"),
        ('[notify]\nseverity = "bad"\n', "warning"),
        ("notify = 3\n", "section"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_write(home: LabHome, text: str, words: str) -> None:
    home.root.mkdir(parents=True)
    (home.root / "settings.toml").write_text(text)
    with pytest.raises(UsageError, match=words):
        load_settings(home, {})


def test_a_file_that_is_not_toml_is_corrupt(home: LabHome) -> None:
    home.root.mkdir(parents=True)
    (home.root / "settings.toml").write_text("[[[")
    with pytest.raises(Corrupt, match="TOML"):
        load_settings(home, {})

"""What filters keep of runs: read once, and never instead of files that have changed since."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runs.events import End, EventLog, Step
from runs.paths import LabHome
from runs.views.card import keep_cards, load_cards
from runs.views.filters import select
from tests.builders import RunBuilder
from tests.runs.curves import falling, train


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabHome:
    monkeypatch.setattr("runs.views.kept_cards.MIN_NEW", 1)
    return LabHome(tmp_path / "home")


def passing(home: LabHome, text: str) -> list[str]:
    """Return the names of the runs that pass, and keep what was read."""
    cards = load_cards(home)
    found = [card.view.name for card in select(text, cards)]
    keep_cards(cards)
    return sorted(found)


def kept_files(home: LabHome) -> list[Path]:
    return [home.run_settings, home.run_figures]


def two_runs(home: LabHome) -> RunBuilder:
    train(home, "small", falling(20))
    return train(home, "big", falling(40, floor=3.0), settings={"depth": 12})


def test_kept_settings_and_figures_answer_as_the_runs_do(home: LabHome) -> None:
    two_runs(home)
    for text in ("depth=12", "min:loss<4", "has:loss not depth=12"):
        first = passing(home, text)
        assert first
        assert passing(home, text) == first
    assert all(path.is_file() for path in kept_files(home))


def test_a_run_json_that_was_replaced_is_read_again(home: LabHome) -> None:
    run = two_runs(home)
    assert passing(home, "base.depth=12") == ["big"]
    path = run.paths.run_json
    before = path.stat()
    body = json.loads(path.read_bytes())
    body["plan"]["stages"][0]["config"]["depth"] = 24
    aside = path.with_name("aside")
    aside.write_text(json.dumps(body, indent=1) + "\n")
    assert aside.stat().st_size == before.st_size
    os.utime(aside, ns=(before.st_atime_ns, before.st_mtime_ns))
    aside.replace(path)
    assert passing(home, "base.depth=24") == ["big"]


def test_figures_follow_a_log_that_grows_after_the_end(home: LabHome) -> None:
    path = train(home, "stopped", falling(20), is_finished=False).paths.events("base", 1)
    with EventLog(path) as log:
        log.append(End(reason="stopped"))
        assert passing(home, "max:loss<100") == ["stopped"]
        log.append(Step(step=21, total_steps=21, metrics={"loss": 500.0}))
        assert passing(home, "max:loss>100") == ["stopped"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"v":1}', b'{"v":99,"blocks":[]}'])
def test_damaged_or_deleted_files_only_cost_time(home: LabHome, damage: bytes) -> None:
    two_runs(home)
    right = passing(home, "depth=12 min:loss<9")
    for path in kept_files(home):
        path.write_bytes(damage)
    assert passing(home, "depth=12 min:loss<9") == right
    for path in kept_files(home):
        path.unlink()
    assert passing(home, "depth=12 min:loss<9") == right


def test_entries_of_another_form_are_read_again(home: LabHome) -> None:
    two_runs(home)
    right = passing(home, "depth=12 min:loss<9")
    for path in kept_files(home):
        body = json.loads(path.read_bytes())
        for entry in body["values"].values():
            entry[1] = [99] if path.name == "settings.json" else {"base.loss": 7}
        path.write_text(json.dumps(body))
    assert passing(home, "depth=12 min:loss<9") == right

"""What differs between runs, and the order of possible reasons."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runs.analysis.diff import Changed, CodeChange, code_change, config_changes, environment_changes
from runs.analysis.patches import changes_between, changes_in, files_of
from runs.analysis.reasons import rank
from runs.analysis.why import why
from runs.environment import commit_diff
from runs.paths import LabHome
from tests.builders import RunBuilder
from tests.runs.curves import card, falling, train

PATCH = """diff --git a/core/optim.py b/core/optim.py
index 1..2 100644
--- a/core/optim.py
+++ b/core/optim.py
@@ -1,2 +1,2 @@
-lr = 1
+lr = 2
@@ -9,1 +9,1 @@
-x
+y
diff --git a/README.md b/README.md
--- a/README.md
+++ b/README.md
@@ -1 +1 @@
-a
+b
"""
SAME_CODE = CodeChange(commits=("a", "a"), is_dirty=(False, False), files=())


@pytest.fixture
def home(tmp_path: Path) -> LabHome:
    return LabHome(tmp_path / "home")


def set_record(run: RunBuilder, **parts: Any) -> None:
    """Change run.json, as if the run had been started elsewhere."""
    body = json.loads(run.paths.run_json.read_text())
    for name, value in parts.items():
        body[name] = {**body[name], **value} if isinstance(value, dict) else value
    run.paths.run_json.write_text(json.dumps(body))


def set_code(run: RunBuilder, sha: str | None, diff: str = "", *, is_dirty: bool = False) -> None:
    git = {
        "sha": sha,
        "is_dirty": is_dirty or bool(diff),
        "diff_path": "git.diff" if diff else None,
    }
    set_record(run, git=git)
    if diff:
        run.paths.git_diff.write_text(diff)


def test_only_settings_that_differ_are_listed_over_any_number_of_runs(home: LabHome) -> None:
    runs = [
        card(train(home, "a")),
        card(train(home, "b", settings={"depth": 4})),
        card(train(home, "c", settings={"depth": 4, "extra": None})),
    ]
    assert config_changes(runs) == [
        Changed(key="base.depth", values=(2, 4, 4), is_known=(True, True, True)),
        Changed(key="base.extra", values=(None, None, None), is_known=(False, False, True)),
    ]


def test_environment_names_packages_and_machine(home: LabHome) -> None:
    a, b = train(home, "a"), train(home, "b")
    set_record(b, packages={"torch": "9.9"}, host={"gpus": [{"name": "H100"}]}, nproc=8)
    found = {change.key: change.values[1] for change in environment_changes([card(a), card(b)])}
    assert found == {"package torch": "9.9", "gpus": "H100", "nproc": 8}


def test_hunks_are_counted_wherever_they_have_moved() -> None:
    moved = PATCH.replace("@@ -9,1 +9,1 @@", "@@ -90,1 +91,1 @@")
    assert [(item.path, item.num_hunks) for item in changes_in(PATCH)] == [
        ("core/optim.py", 2), ("README.md", 1),
    ]  # fmt: skip
    assert changes_between(PATCH, moved) == []
    other = PATCH.replace("+lr = 2", "+lr = 3")
    assert [(item.path, item.num_hunks) for item in changes_between(PATCH, other)] == [
        ("core/optim.py", 1)
    ]
    assert len(changes_between("", PATCH)) == 2
    assert files_of("not a diff\n@@ hm\n") == {}


def test_code_of_one_commit_is_compared_by_the_stored_diffs(home: LabHome) -> None:
    a, b = train(home, "a"), train(home, "b")
    set_code(a, "1" * 40)
    set_code(b, "1" * 40, PATCH)
    found = code_change(card(a), card(b))
    assert ([item.path for item in found.files], found.num_hunks) == (
        ["README.md", "core/optim.py"], 3,
    )  # fmt: skip
    assert "++lr = 2" in found.text
    assert found.problem is None
    assert code_change(card(b), card(b)).is_same


def test_code_of_two_commits_is_asked_of_git(home: LabHome, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    shas = []
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    for text in ("one\n", "two\n"):
        (repository / "model.py").write_text(text)
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", text], check=True)
        done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True)
        shas.append(done.stdout.decode().strip())
    a, b = train(home, "a"), train(home, "b")
    set_code(a, shas[0])
    set_code(b, shas[1])
    found = code_change(card(a), card(b), lambda old, new: commit_diff(repository, old, new))
    assert [item.path for item in found.files] == ["model.py"]
    assert "+two" in found.text
    missing = code_change(card(a), card(b), lambda old, new: commit_diff(home.root, old, new))
    assert "does not have both" in str(missing.problem)
    assert commit_diff(repository, "--help", shas[1]) is None


def test_code_that_was_not_kept_is_not_called_the_same(home: LabHome) -> None:
    a, b = train(home, "a"), train(home, "b")
    set_code(a, "1" * 40)
    set_code(b, "1" * 40, is_dirty=True)
    assert "git did not track" in str(code_change(card(a), card(b)).problem)
    set_code(b, None)
    assert "no commit is recorded for" in str(code_change(card(a), card(b)).problem)


def test_schedule_that_acts_after_the_parting_cannot_be_the_reason() -> None:
    def changed(key: str, *values: object) -> Changed:
        return Changed(key=key, values=values, is_known=(True, True))

    config = [
        changed("base.warmdown_ratio", 0.2, 0.6),
        changed("base.matrix_lr", 0.02, 0.021),
        changed("base.depth", 4, 16),
        changed("base.save_every", 1, 2),
        changed("sft.epochs", 1, 2),
    ]
    data = [changed("tokenizer", "x", "y")]
    for parted_at, last in ((40, True), (90, False)):
        reasons = rank(
            config=config, data=data, code=SAME_CODE, environment=(), stage="base",
            stages=["base", "sft"], parted_at=parted_at, schedule_from=80,
        )  # fmt: skip
        assert [reason.key for reason in reasons[:2]] == ["tokenizer", "base.depth"]
        by_key = {reason.key: reason for reason in reasons}
        assert by_key["base.warmdown_ratio"].could_part is not last
        assert not by_key["base.save_every"].could_part
        assert not by_key["sft.epochs"].could_part
        assert by_key["base.matrix_lr"].could_part


def test_why_puts_the_parting_beside_the_differences(home: LabHome) -> None:
    a = train(home, "a", falling(200), settings={"warmdown_ratio": 0.2})
    later = [loss + (0.3 if step > 120 else 0.0) for step, loss in enumerate(falling(200), 1)]
    b = train(
        home, "b", later, settings={"warmdown_ratio": 0.4}, lrm=lambda step: 1 - 0.5 * (step > 120)
    )
    found = why(card(a), card(b), [])
    assert found.parting.same_until == 120
    assert found.parting.step is not None and 114 <= found.parting.step <= 121
    assert found.schedule_from == 121
    assert found.reasons[0].key == "base.warmdown_ratio"

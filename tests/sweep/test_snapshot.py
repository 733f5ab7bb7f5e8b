"""What a queued run starts from: the source as it was, not as it has become."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from runs.errors import UsageError
from runs.paths import LabHome
from runs.record import load_record
from runs.scheduling import snapshot
from runs.scheduling.snapshot import describe, read_source, store
from runs.supervision.command import worker_env
from tests.runs.builders import make_run, start, wait_for_state


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of one package with a tracked, a changed, a new and an ignored file."""
    root = tmp_path / "checkout"
    for name, text in {
        "core/__init__.py": "", "core/model.py": "WIDTH = 1\n", ".gitignore": "*.so\n/core/out\n",
    }.items():  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q")
    git(root, "add", "-A")
    (root / "core/model.py").write_text("WIDTH = 2\n")
    (root / "core/new.py").write_text("NEW = True\n")
    (root / "core/out").write_text("ignored\n")
    (root / "core/_bpe.abi3.so").write_bytes(b"compiled")
    return root


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(root), *words], check=True)


def names(home: LabHome, root: Path) -> Sequence[str]:
    return sorted(read_source(home, root).files)


def test_snapshot_holds_changed_and_new_files_and_the_compiled_one(
    home: LabHome, checkout: Path
) -> None:
    source = read_source(home, checkout)
    assert sorted(source.files) == [
        "core/__init__.py", "core/_bpe.abi3.so", "core/model.py", "core/new.py",
    ]  # fmt: skip
    assert source.files["core/model.py"] == b"WIDTH = 2\n"


def test_lab_home_inside_the_checkout_is_never_copied(checkout: Path) -> None:
    home = LabHome(checkout / "core" / "lab")
    before = names(home, checkout)
    store(home, read_source(home, checkout))
    (home.root / "notes.py").write_text("x = 1\n")
    assert names(home, checkout) == before


def test_equal_sources_are_stored_once_and_edits_change_nothing_stored(
    home: LabHome, checkout: Path
) -> None:
    first = store(home, read_source(home, checkout))
    assert store(home, read_source(home, checkout)) == first
    (checkout / "core/model.py").write_text("WIDTH = 3\n")
    second = store(home, read_source(home, checkout))
    assert second["hash"] != first["hash"]
    kept = home.snapshots_dir / first["hash"] / "core/model.py"
    assert kept.read_text() == "WIDTH = 2\n"
    assert len(list(home.snapshots_dir.iterdir())) == 2


def test_source_without_git_is_copied_too(home: LabHome, tmp_path: Path) -> None:
    root = tmp_path / "plain"
    (root / "runs/__pycache__").mkdir(parents=True)
    (root / "runs/a.py").write_text("")
    (root / "runs/__pycache__/a.pyc").write_bytes(b"")
    assert names(home, root) == ["runs/a.py"]


def test_too_large_a_source_is_refused(
    home: LabHome, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "MAX_BYTES", 8)
    with pytest.raises(UsageError, match="let git ignore what is no source"):
        read_source(home, checkout)


def test_installed_wheel_is_known_by_its_version(home: LabHome, tmp_path: Path) -> None:
    kept = store(home, read_source(home, tmp_path / "site-packages"))
    assert kept["kind"] == "installed"
    assert describe(kept).endswith("as installed")
    assert not home.snapshots_dir.exists()


def test_worker_imports_from_the_snapshot(home: LabHome) -> None:
    kept = store(home, read_source(home))
    (home.snapshots_dir / kept["hash"] / "runs" / "only_here.py").write_text("")
    # A worker that imports what only the snapshot has, before it does its work.
    script = home.root / "worker.py"
    toy = Path(__file__).parents[1] / "runs" / "toy_worker.py"
    script.write_text(
        "import runpy, sys, runs.only_here\n"
        f"sys.argv[0] = {str(toy)!r}\nrunpy.run_path({str(toy)!r}, run_name='__main__')\n"
    )
    paths = start(make_run(home, {"base": {}}, source=kept, worker=(str(script),)))
    assert wait_for_state(paths, "finished", "crashed", "failed").state == "finished"


def test_run_whose_snapshot_is_gone_does_not_start_from_other_code(home: LabHome) -> None:
    source = {"kind": "snapshot", "hash": "0" * 24, "num_files": 1, "num_bytes": 1}
    paths = start(make_run(home, {"base": {}}, source=source))
    view = wait_for_state(paths, "crashed", "failed", "finished")
    assert view.state == "crashed"
    assert "is gone" in (view.problem or "")


def test_users_own_path_follows_the_snapshot(home: LabHome) -> None:
    source = {"kind": "snapshot", "hash": "abc", "num_files": 1, "num_bytes": 1}
    paths = make_run(home, {"base": {}}, source=source)
    record = load_record(paths.run_dir)
    env = worker_env(record, record.stages[0], paths.run_dir, 1, {"PYTHONPATH": "/mine"})
    assert env["PYTHONPATH"] == f"{home.snapshots_dir / 'abc'}:/mine"

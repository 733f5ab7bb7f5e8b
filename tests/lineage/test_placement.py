"""Where the registry lies: with the runs, unless the home cannot hold it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs.paths import LabHome
from runs.registry.placement import choose_dir, fs_type, type_from_mounts
from runs.registry.store import query
from tests.builders import build_finished_run

ROOT = Path("/srv/lab")
ENV = {"XDG_CACHE_HOME": "/home/me/.cache"}
MOUNTS = [
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "40 22 0:38 / /srv rw,relatime shared:20 - nfs4 server:/export rw,vers=4.2",
    "41 40 8:2 / /srv/my\\040disk rw - xfs /dev/sdb1 rw",
    "not a mount",
]


@pytest.mark.parametrize(
    ("is_writable", "fs", "is_home"),
    [
        (True, "ext4", True),
        (True, None, True),
        (True, "nfs4", False),
        (True, "fuse.sshfs", False),
        (False, "ext4", False),
    ],
)
def test_a_home_that_is_shared_or_read_only_keeps_no_registry(
    is_writable: bool, fs: str | None, is_home: bool
) -> None:
    place = choose_dir(ROOT, ENV, is_writable=is_writable, fs_type=fs)
    assert (place == ROOT) is is_home
    assert is_home or place.is_relative_to("/home/me/.cache/labcli")


def test_two_homes_have_two_caches_and_one_home_the_same_each_time() -> None:
    places = [
        choose_dir(Path(root), {"HOME": "/home/me"}, is_writable=False, fs_type=None)
        for root in ("/a", "/b", "/a")
    ]
    assert places[0] == places[2] != places[1]


@pytest.mark.parametrize(
    ("path", "fs"), [("/home", "ext4"), ("/srv/lab", "nfs4"), ("/srv/my disk/lab", "xfs")]
)
def test_the_innermost_mount_decides(path: str, fs: str) -> None:
    assert type_from_mounts(MOUNTS, Path(path)) == fs


def test_this_machine_says_what_its_file_systems_are(tmp_path: Path) -> None:
    assert fs_type(tmp_path)


def test_a_registry_in_the_cache_answers_like_one_in_the_home(
    home: LabHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_finished_run(home)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("runs.registry.placement.fs_type", lambda path: "nfs4")
    assert query(home, "SELECT count(*) FROM runs").rows == ((1,),)
    assert home.registry.is_relative_to(tmp_path / "cache")
    assert not list(home.root.glob("registry*"))

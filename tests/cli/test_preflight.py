"""A run whose text is missing, or that does not fit on the disk, is refused before it starts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.data.preflight import check_text, own_text_bytes
from core.data.remote.known import REMOTE_CORPORA
from core.settings.text import DataConfig
from labcli.launching.preflight import absolute_corpus
from runs.errors import LabError, StageFailed
from runs.paths import LabHome
from tests.cli.conftest import Labcli
from tests.data.hub_server import QUICK, Hub, serving


@pytest.mark.parametrize(
    ("corpus", "code", "said"),
    [
        ("nothing", 3, "no corpus 'nothing'"),
        ("/nowhere/at/all", 3, "/nowhere/at/all"),
        ("EMPTY", 3, "holds no parquet or JSONL"),
    ],
)
def test_missing_text_is_one_line_and_no_run(
    labcli: Labcli, home: LabHome, tmp_path: Path, corpus: str, code: int, said: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    name = str(empty) if corpus == "EMPTY" else corpus
    done = labcli("run", "data", "--detach", "--set", f"data.corpus={name}")
    assert done.code == code
    assert said in done.err
    assert not list(home.runs_dir.glob("*"))


def test_server_that_is_not_there_is_told_before_the_run(
    labcli: Labcli, home: LabHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    done = labcli("run", "data", "--detach", "--set", "data.corpus=climbmix")
    assert done.code == 1
    assert "climbmix" in done.err and "http://127.0.0.1:9" in done.err
    assert not list(home.runs_dir.glob("*"))


@pytest.mark.parametrize("words", [(), ("--dry-run",), ("--queue",)])
def test_compiling_without_a_compiler_is_refused_before_the_run(
    labcli: Labcli, home: LabHome, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    chosen = ("run", "speedrun", "--preset", "cpu", "--detach", *words)
    done = labcli(*chosen, "--set", "sft.compile=on")
    assert done.code == 2 and done.err.count("\n") == 1
    assert "sft: compile = on is not possible here: no C++ compiler" in done.err
    assert not list(home.runs_dir.glob("*"))
    assert labcli(*chosen[:4], "--dry-run", "--set", "sft.compile=auto").code == 0


def test_bytes_to_download_are_counted_and_missing_shards_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Hub(REMOTE_CORPORA["climbmix"])) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        sizes = [len(body) for body in hub.files.values()]
        config = DataConfig(corpus="climbmix", num_shards=4)
        assert check_text(tmp_path, config, QUICK) == sum(sizes)
        with pytest.raises(LabError, match="shard_00004"):
            check_text(tmp_path, DataConfig(corpus="climbmix", num_shards=5), QUICK)
    assert check_text(tmp_path, config, QUICK) == sum(sizes)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StageFailed, match="fineweb-edu"):
        check_text(tmp_path, DataConfig(corpus="fineweb-edu"), QUICK)


def test_full_disk_is_told_before_the_run(
    labcli: Labcli, home: LabHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    done = labcli("run", "data", "--detach")
    assert done.code == 1
    assert "needs" in done.err and "1000 B free" in done.err
    assert not list(home.runs_dir.glob("*"))


def test_directories_are_made_absolute_and_names_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ("data.corpus=./texts", "data.corpus=climbmix", "base.depth=2")
    assert absolute_corpus(given) == (f"data.corpus={tmp_path / 'texts'}", *given[1:])


def test_full_disk_names_what_takes_it_and_what_would_help(
    labcli: Labcli, home: LabHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    done = labcli("run", "speedrun", "--preset", "cpu", "--detach")
    assert done.code == 1 and done.err.count("\n") == 1
    assert "checkpoints" in done.err and "text and tokens" in done.err
    assert "base.keep_checkpoints=1" in done.err and "labcli runs gc" in done.err
    with serving(Hub(REMOTE_CORPORA["climbmix"])) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        words = ("--set", "data.corpus=climbmix", "--set", "data.num_shards=4")
        done = labcli("run", "speedrun", "--preset", "cpu", "--detach", *words)
    assert done.code == 1 and done.err.count("\n") == 1
    assert "no token cache" in done.err and "data.num_shards=2" in done.err
    assert not list(home.runs_dir.glob("*"))


def test_text_of_ones_own_counts_with_what_its_tokens_take(tmp_path: Path) -> None:
    own = tmp_path / "texts"
    own.mkdir()
    (own / "a.jsonl").write_text('{"text": "a word or two of text"}\n' * 1000)
    num_bytes = (own / "a.jsonl").stat().st_size
    needed = own_text_bytes(tmp_path, DataConfig(corpus=str(own)))
    assert num_bytes < needed < 3 * num_bytes
    assert own_text_bytes(tmp_path, DataConfig()) == 0

"""`labcli data`: what is got and prepared can be listed, described and checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.data.publish import DataLock
from core.data.remote.known import REMOTE_CORPORA
from labcli.data.following import Pace, progress_text
from runs.events import Progress
from runs.paths import LabHome
from tests.cli.conftest import Labcli
from tests.data.hub_server import Hub, serving

VAL = "shard_06542.parquet"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub(REMOTE_CORPORA["climbmix"])) as running:
        yield running


@pytest.fixture
def own_text(tmp_path: Path) -> Path:
    path = tmp_path / "notes.jsonl"
    lines = [json.dumps({"text": f"note {number}"}) for number in range(300)]
    path.write_text("\n".join(lines))
    return path


def test_got_corpus_is_listed_and_described(labcli: Labcli, hub: Hub) -> None:
    done = labcli("data", "get", "climbmix", "-n", "2", "--endpoint", hub.endpoint, "--json")
    assert done.code == 0, done.err
    row = json.loads(done.out)
    assert (row["num_shards"], row["num_docs"], row["state"]) == (3, 120, "complete")
    listed = json.loads(labcli("data", "list", "--json").out)
    assert [item["name"] for item in listed] == ["climbmix", "climbmix", "fineweb-edu"]
    assert listed[0]["corpus_id"] == row["corpus_id"]
    assert listed[1]["num_shards"] == 3
    described = json.loads(labcli("data", "describe", "climbmix", "--verify", "--json").out)
    assert [shard["name"] for shard in described["shards"]][-1] == VAL
    assert described["is_verified"]
    shown = labcli("data", "describe", row["corpus_id"][:6])
    assert VAL in shown.out and row["val_sha256"] in shown.out


def test_only_val_gets_one_shard_and_first_chooses_where_to_begin(labcli: Labcli, hub: Hub) -> None:
    assert labcli("data", "get", "climbmix", "--only-val", "--endpoint", hub.endpoint).code == 0
    assert hub.fetched() == [VAL]
    done = labcli("data", "get", "climbmix", "-n", "1", "--first", "3", "--endpoint", hub.endpoint)
    assert done.code == 0
    assert hub.fetched() == [VAL, "shard_00003.parquet"]


def test_server_and_token_come_from_the_environment(
    labcli: Labcli, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert labcli("data", "get", "climbmix", "--only-val").code == 0
    assert {sent for _, _, sent in hub.requests} == {"Bearer secret"}


def test_shard_that_cannot_be_had_is_one_line_and_code_1(labcli: Labcli, hub: Hub) -> None:
    hub.faults.status["shard_00001.parquet"] = [404]
    done = labcli("data", "get", "climbmix", "-n", "2", "--endpoint", hub.endpoint)
    assert done.code == 1
    assert done.out == ""
    (line,) = [line for line in done.err.splitlines() if line.startswith("labcli: error")]
    assert "shard_00001.parquet" in line and "404" in line


def test_two_downloads_of_one_corpus_do_not_meet(labcli: Labcli, home: LabHome, hub: Hub) -> None:
    with DataLock(home.data_dir / "downloads" / "climbmix") as lock:
        assert lock.try_acquire()
        done = labcli("data", "get", "climbmix", "--only-val", "--endpoint", hub.endpoint)
    assert done.code == 4


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("get", "climbmx"), 2, "climbmix"),
        (("get", "climbmix", "-n", "9999"), 2, "0 to 6541"),
        (("get", "climbmix", "--endpoint", "ftp://x"), 2, "http://"),
        (("describe", "nothing"), 3, "no corpus 'nothing'"),
        (("describe", "climbmix"), 3, "labcli data get climbmix"),
        (("describe", "embedded"), 3, "labcli run data"),
        (("describe", "climbmx"), 3, "closest: 'climbmix'"),
        (("describe", "embeded"), 3, "closest: 'embedded'"),
        (("prepare", "/nowhere/at/all"), 3, "/nowhere/at/all"),
    ],
)
def test_mistakes_are_one_line(
    labcli: Labcli, words: tuple[str, ...], code: int, said: str
) -> None:
    done = labcli("data", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err and len(done.err.splitlines()) == 1


def test_prepared_text_is_a_corpus_by_its_name(labcli: Labcli, own_text: Path) -> None:
    done = labcli("data", "prepare", str(own_text), "--json")
    assert done.code == 0, done.err
    row = json.loads(done.out)
    assert (row["name"], row["num_docs"]) == ("notes", 300)
    again = labcli("data", "prepare", str(own_text), "--json")
    assert json.loads(again.out) == row
    assert "before" in again.err
    assert json.loads(labcli("data", "describe", "notes", "--json").out)["samples"]


def test_same_text_under_another_name_says_what_it_is_called(
    labcli: Labcli, own_text: Path
) -> None:
    labcli("data", "prepare", str(own_text))
    done = labcli("data", "prepare", str(own_text), "--name", "mine", "--json")
    assert json.loads(done.out)["name"] == "notes"
    assert "it is called notes" in done.err


def test_damaged_corpus_is_code_5_until_it_is_prepared_again(
    labcli: Labcli, own_text: Path
) -> None:
    row = json.loads(labcli("data", "prepare", str(own_text), "--json").out)
    shard = Path(row["path"]) / "shard_00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    for words in ((), ("--verify",)):
        done = labcli("data", "describe", "notes", *words)
        assert done.code == 5
        assert "shard_00000.parquet" in done.err and len(done.err.splitlines()) == 1
    labcli("data", "prepare", str(own_text))
    assert labcli("data", "describe", "notes", "--verify").code == 0


def test_progress_says_how_far_how_fast_and_how_long() -> None:
    pace = Pace()
    pace.add(0.0, 0.0)
    pace.add(10.0, 100 * 2**20)
    step = Progress(done=100 * 2**20, total=200 * 2**20, unit="bytes", label="climbmix train")
    text = progress_text(step, pace.per_second)
    assert text.startswith("climbmix train  [############............]  50%")
    assert "100 MiB of 200 MiB" in text and "10 MiB/s" in text and "10s left" in text
    pace.add(11.0, 0.0)
    assert pace.per_second is None

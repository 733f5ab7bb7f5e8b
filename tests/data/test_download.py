"""A server that fails in every way: verified shards come of it, or one error that names one."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.data.corpus import Corpus
from core.data.preflight import HASTY
from core.data.remote.backoff import Policy, delay_s, retry_after_s
from core.data.remote.corpus import (
    Wanted,
    discard_damaged,
    downloads_dir,
    fetch_shards,
    publish_corpus,
)
from core.data.remote.fetch import PARTIAL
from core.data.remote.known import REMOTE_CORPORA, Access, access
from core.data.shards import load_manifest, read_texts
from runs.errors import Corrupt, LabError, NotFound, StageFailed, UsageError
from runs.events import Progress
from tests.data.builders import drain, never
from tests.data.hub_server import QUICK, TINY, Hub, serving

WANTED = Wanted(corpus=TINY, num_train=3)
NAME = "shard_00001.parquet"
VAL = "shard_00004.parquet"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub()) as running:
        yield running


def fetch(hub: Hub, data_dir: Path, wanted: Wanted = WANTED, token: str | None = None) -> bool:
    server = Access(endpoint=hub.endpoint, token=token)
    return drain(fetch_shards(data_dir, wanted, server, stop=never, policy=QUICK)) is not None


def published(hub: Hub, data_dir: Path, wanted: Wanted = WANTED) -> Corpus:
    """Download what is missing, and return the corpus of it."""
    server = Access(endpoint=hub.endpoint)
    index = drain(fetch_shards(data_dir, wanted, server, stop=never, policy=QUICK))
    assert index is not None
    return publish_corpus(data_dir, wanted, index)


def check(hub: Hub, data_dir: Path, names: list[str]) -> None:
    """Every named shard is there as published, and nothing else is."""
    directory = downloads_dir(data_dir, TINY)
    found = sorted(path.name for path in directory.glob("shard_*") if path.suffix != ".json")
    assert found == sorted(names)
    assert all((directory / name).read_bytes() == hub.published[name] for name in names)


EVERY = ["shard_00000.parquet", NAME, "shard_00002.parquet", VAL]


def test_shards_arrive_whole_and_the_validation_shard_first(hub: Hub, tmp_path: Path) -> None:
    assert fetch(hub, tmp_path)
    check(hub, tmp_path, EVERY)
    assert hub.fetched()[0] == VAL


def test_second_download_asks_for_nothing(hub: Hub, tmp_path: Path) -> None:
    fetch(hub, tmp_path)
    hub.requests.clear()
    assert fetch(hub, tmp_path)
    assert hub.requests == []


def test_dropped_connections_go_on_by_range(hub: Hub, tmp_path: Path) -> None:
    hub.faults.drop_after[NAME], hub.faults.num_drops[NAME] = 3000, 4
    assert fetch(hub, tmp_path)
    check(hub, tmp_path, EVERY)
    assert hub.asked(NAME) == [None, *(f"bytes={3000 * n}-" for n in (1, 2, 3, 4))]


def test_line_that_drops_after_next_to_nothing_gets_there(hub: Hub, tmp_path: Path) -> None:
    hub.faults.drop_after[NAME], hub.faults.num_drops[NAME] = 200, 10_000
    assert fetch(hub, tmp_path)
    check(hub, tmp_path, EVERY)


def test_server_that_drops_and_forgets_where_is_given_up(hub: Hub, tmp_path: Path) -> None:
    hub.faults.wrong_range = True
    hub.faults.drop_after[NAME], hub.faults.num_drops[NAME] = 3000, 10_000
    with pytest.raises(StageFailed, match=NAME):
        fetch(hub, tmp_path)


def test_server_that_sends_a_byte_now_and_then_is_given_up(hub: Hub, tmp_path: Path) -> None:
    hub.faults.trickles.add(NAME)
    server = Access(endpoint=hub.endpoint)
    hasty = Policy(num_tries=2, first_delay_s=0.001, longest_delay_s=0.01, timeout_s=0.2)
    with pytest.raises(StageFailed, match=f"{NAME}.*next to nothing"):
        drain(fetch_shards(tmp_path, WANTED, server, stop=never, policy=hasty))


def test_file_that_changes_between_two_ranges_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    hub.faults.drop_after[NAME], hub.faults.num_drops[NAME] = 3000, 1
    hub.faults.corrupt[NAME], hub.faults.damaged_at = 1, 100
    assert fetch(hub, tmp_path)
    check(hub, tmp_path, EVERY)


def test_redirects_that_go_in_a_ring_are_one_error(hub: Hub, tmp_path: Path) -> None:
    hub.faults.rings.add(NAME)
    with pytest.raises(StageFailed, match=f"{NAME}.*redirects"):
        fetch(hub, tmp_path)


def test_length_that_is_less_than_the_body_is_an_error(hub: Hub, tmp_path: Path) -> None:
    hub.faults.miscounts[NAME] = -1000
    with pytest.raises(StageFailed, match=f"{NAME}.*connection ended after"):
        fetch(hub, tmp_path)
    assert not (downloads_dir(tmp_path, TINY) / NAME).exists()


def test_length_that_is_more_than_the_body_harms_no_whole_file(hub: Hub, tmp_path: Path) -> None:
    hub.faults.miscounts[NAME] = 1000
    assert fetch(hub, tmp_path)
    check(hub, tmp_path, EVERY)


def test_server_without_ranges_starts_the_file_again(hub: Hub, tmp_path: Path) -> None:
    hub.faults.refuses_ranges = True
    hub.faults.drop_after[NAME], hub.faults.num_drops[NAME] = 3000, 2
    assert fetch(hub, tmp_path)
    check(hub, tmp_path, EVERY)


def test_wrong_range_is_not_put_into_the_file(hub: Hub, tmp_path: Path) -> None:
    hub.faults.wrong_range = True
    hub.faults.drop_after[NAME], hub.faults.num_drops[NAME] = 3000, 1
    assert fetch(hub, tmp_path)
    check(hub, tmp_path, EVERY)


def test_truncated_bodies_are_completed(hub: Hub, tmp_path: Path) -> None:
    hub.faults.truncates.add(NAME)
    with pytest.raises(StageFailed, match=rf"{NAME}.*connection ended after"):
        fetch(hub, tmp_path)
    hub.faults.truncates.clear()
    assert fetch(hub, tmp_path)
    check(hub, tmp_path, EVERY)


def test_shard_damaged_on_the_way_once_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    hub.faults.corrupt[NAME] = 1
    assert fetch(hub, tmp_path)
    check(hub, tmp_path, EVERY)


def test_shard_that_stays_damaged_is_an_error_and_never_kept(hub: Hub, tmp_path: Path) -> None:
    hub.faults.corrupt[NAME] = 99
    with pytest.raises(Corrupt, match=rf"{NAME}.*sha256"):
        fetch(hub, tmp_path)
    left = [path.name for path in downloads_dir(tmp_path, TINY).iterdir()]
    assert not any(name.startswith(NAME) for name in left)


def test_more_bytes_than_published_are_an_error(hub: Hub, tmp_path: Path) -> None:
    hub.faults.longer.add(NAME)
    with pytest.raises(Corrupt, match=f"{NAME}.*more than the published"):
        fetch(hub, tmp_path)


@pytest.mark.parametrize("retry_after", [None, "0", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_busy_server_is_asked_again(hub: Hub, tmp_path: Path, retry_after: str | None) -> None:
    hub.faults.status[NAME] = [503, 429, 500]
    hub.faults.retry_after = retry_after
    assert fetch(hub, tmp_path)
    check(hub, tmp_path, EVERY)
    assert len(hub.asked(NAME)) == 4


def test_server_that_stays_busy_is_an_error_after_all_tries(hub: Hub, tmp_path: Path) -> None:
    hub.faults.status[NAME] = [503] * 99
    with pytest.raises(StageFailed, match=f"{NAME}.*503"):
        fetch(hub, tmp_path)
    assert len(hub.asked(NAME)) == QUICK.num_tries


def test_server_that_wants_to_be_left_alone_for_long_is_not_waited_for(
    hub: Hub, tmp_path: Path
) -> None:
    for patience_s, asked in ((HASTY.longest_asked_s, "30"), (Policy().longest_asked_s, "3600")):
        hub.faults.status["api"] = [429]
        hub.faults.retry_after = asked
        policy = replace(QUICK, longest_asked_s=patience_s)
        server = Access(endpoint=hub.endpoint)
        with pytest.raises(StageFailed, match=rf"429.*again in {asked} s"):
            drain(fetch_shards(tmp_path, WANTED, server, stop=never, policy=policy))


@pytest.mark.parametrize(("status", "hint"), [(404, "--endpoint"), (403, "HF_TOKEN")])
def test_refusal_is_an_error_at_once(hub: Hub, tmp_path: Path, status: int, hint: str) -> None:
    hub.faults.status[NAME] = [status] * 9
    with pytest.raises(StageFailed, match=f"{NAME}.*{status}.*{hint}"):
        fetch(hub, tmp_path)
    assert len(hub.asked(NAME)) == 1


def test_server_that_falls_silent_is_left_and_asked_again(hub: Hub, tmp_path: Path) -> None:
    hub.faults.stalls[NAME] = 1
    server = Access(endpoint=hub.endpoint)
    hasty = Policy(num_tries=4, first_delay_s=0.001, longest_delay_s=0.01, timeout_s=0.2)
    assert drain(fetch_shards(tmp_path, WANTED, server, stop=never, policy=hasty)) is not None
    check(hub, tmp_path, EVERY)


def test_server_that_is_not_there_is_one_error(hub: Hub, tmp_path: Path) -> None:
    server = Access(endpoint="http://127.0.0.1:9")
    with pytest.raises(StageFailed, match=r"tiny.*http://127.0.0.1:9"):
        drain(fetch_shards(tmp_path, WANTED, server, stop=never, policy=QUICK))


def test_listing_that_is_no_listing_is_one_error(hub: Hub, tmp_path: Path) -> None:
    server = Access(endpoint=f"{hub.endpoint}/elsewhere")
    with pytest.raises(StageFailed, match="404"):
        drain(fetch_shards(tmp_path, WANTED, server, stop=never, policy=QUICK))


def test_listing_whose_pages_go_in_a_ring_is_one_error(hub: Hub, tmp_path: Path) -> None:
    hub.faults.rings.add("tree")
    with pytest.raises(StageFailed, match=r"tiny.*without end"):
        fetch(hub, tmp_path)


def test_answer_that_names_no_revision_is_one_error(hub: Hub, tmp_path: Path) -> None:
    hub.about = {"error": "no such thing"}
    with pytest.raises(StageFailed, match=r"tiny.*names no revision.*--endpoint"):
        fetch(hub, tmp_path)


def test_listed_name_that_leaves_the_directory_is_never_touched(hub: Hub, tmp_path: Path) -> None:
    mine = downloads_dir(tmp_path, TINY).parent / "mine.parquet"
    hub.published = {**hub.published, "../mine.parquet": b"theirs"}
    assert fetch(hub, tmp_path)
    mine.write_bytes(b"mine")
    assert discard_damaged(downloads_dir(tmp_path, TINY)) == []
    assert mine.read_bytes() == b"mine"


def test_shard_that_is_not_listed_is_not_found(hub: Hub, tmp_path: Path) -> None:
    hub.published = {name: body for name, body in hub.files.items() if name != NAME}
    with pytest.raises(NotFound, match=NAME):
        fetch(hub, tmp_path)


def test_token_is_sent_when_there_is_one(hub: Hub, tmp_path: Path) -> None:
    fetch(hub, tmp_path, token="secret")
    assert {sent for _, _, sent in hub.requests} == {"Bearer secret"}


def test_full_disk_is_told_before_the_first_byte(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.data.remote import download

    monkeypatch.setattr(download, "SPARE_BYTES", 1 << 60)
    with pytest.raises(StageFailed, match="GB free"):
        fetch(hub, tmp_path)
    assert hub.fetched() == []


def test_stop_keeps_what_has_arrived(hub: Hub, tmp_path: Path) -> None:
    hub.faults.delay_s_per_chunk = 0.2
    server = Access(endpoint=hub.endpoint)
    steps = fetch_shards(tmp_path, WANTED, server, stop=lambda: True, policy=QUICK)
    assert drain(steps) is None
    hub.faults.delay_s_per_chunk = 0.0
    assert fetch(hub, tmp_path)
    check(hub, tmp_path, EVERY)


def test_stop_is_heard_while_a_server_is_waited_for_that_is_not_there(tmp_path: Path) -> None:
    server = Access(endpoint="http://127.0.0.1:9")
    patient = Policy(num_tries=2, first_delay_s=20.0)
    steps = fetch_shards(tmp_path, WANTED, server, stop=lambda: True, policy=patient)
    told: list[Progress] = []
    result: object = "unfinished"
    try:
        while True:
            told.append(next(steps))
    except StopIteration as end:
        result = end.value
    assert result is None
    assert "tiny" in told[0].label


def test_killed_download_goes_on_by_range(hub: Hub, tmp_path: Path) -> None:
    hub.faults.delay_s_per_chunk = 0.02
    code = (
        "import sys; from pathlib import Path;"
        "from core.data.remote.corpus import Wanted, fetch_shards;"
        "from core.data.remote.known import Access;"
        "from tests.data.hub_server import QUICK, TINY;"
        "list(fetch_shards(Path(sys.argv[1]), Wanted(corpus=TINY, num_train=3),"
        " Access(endpoint=sys.argv[2]), stop=lambda: False, policy=QUICK))"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path, hub.endpoint], cwd=root)
    partial = downloads_dir(tmp_path, TINY) / (NAME + PARTIAL)
    deadline_s = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size > 0):
        assert process.poll() is None and time.monotonic() < deadline_s
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    num_bytes = partial.stat().st_size
    assert 0 < num_bytes < len(hub.files[NAME])
    hub.faults.delay_s_per_chunk = 0.0
    hub.requests.clear()
    assert fetch(hub, tmp_path)
    check(hub, tmp_path, EVERY)
    assert hub.asked(NAME) == [f"bytes={num_bytes}-"]


def test_corpus_of_downloads_reads_like_any_other(hub: Hub, tmp_path: Path) -> None:
    corpus = published(hub, tmp_path)
    manifest = load_manifest(corpus.path, verify=True)
    assert manifest == corpus.manifest
    assert [shard.split for shard in manifest.shards] == ["train"] * 3 + ["val"]
    assert manifest.val_sha256 == hashlib.sha256(hub.files[VAL]).hexdigest()
    assert len(list(read_texts(corpus.path, "train"))) == 120
    assert published(hub, tmp_path) == corpus


def test_validation_text_is_the_same_for_any_number_of_shards(hub: Hub, tmp_path: Path) -> None:
    hashes = set()
    for num_train in (0, 1, 3):
        wanted = Wanted(corpus=TINY, num_train=num_train)
        hashes.add(published(hub, tmp_path, wanted).manifest.val_sha256)
    assert len(hashes) == 1


def test_shard_that_is_no_parquet_is_corrupt_though_its_hash_is_right(
    hub: Hub, tmp_path: Path
) -> None:
    hub.files[NAME] = b"not parquet" * 100
    hub.published = dict(hub.files)
    with pytest.raises(Corrupt, match=NAME):
        fetch(hub, tmp_path)


def test_damage_on_the_disk_is_found_and_fetched_again(hub: Hub, tmp_path: Path) -> None:
    fetch(hub, tmp_path)
    path = downloads_dir(tmp_path, TINY) / NAME
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert discard_damaged(path.parent) == [NAME]
    assert fetch(hub, tmp_path)
    check(hub, tmp_path, EVERY)


def test_shard_that_was_fetched_again_takes_its_place_in_the_corpus(
    hub: Hub, tmp_path: Path
) -> None:
    before = published(hub, tmp_path)
    shard = before.path / NAME
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    # A second name of the same file.
    assert discard_damaged(downloads_dir(tmp_path, TINY)) == [NAME]
    again = published(hub, tmp_path)
    assert again == before
    assert shard.read_bytes() == hub.published[NAME]


def test_more_shards_than_there_are_is_a_usage_error() -> None:
    for first, count in ((0, 5), (3, 2), (-1, 1)):
        with pytest.raises(UsageError, match="0 to 3"):
            TINY.train_names(first, count)


def test_known_corpora_have_the_published_number_of_shards() -> None:
    assert REMOTE_CORPORA["climbmix"].val_name == "shard_06542.parquet"
    assert REMOTE_CORPORA["fineweb-edu"].val_name == "shard_01822.parquet"


def test_delays_double_have_jitter_and_heed_the_server() -> None:
    from random import Random

    policy = Policy(first_delay_s=1.0, longest_delay_s=60.0)
    drawn = [delay_s(policy, 3, None, Random(seed)) for seed in range(50)]
    assert 2.0 <= min(drawn) < max(drawn) <= 4.0
    assert delay_s(policy, 20, None, Random(0)) <= 60.0
    assert delay_s(policy, 1, 7.0, Random(0)) >= 7.0
    assert retry_after_s("12") == 12.0
    assert retry_after_s("3600") == 3600.0
    for nonsense in ("nonsense", "\u00b2", "-1", "", "Wed, 99 Oct 2015 99:28:00 GMT"):
        assert retry_after_s(nonsense) is None


def test_environment_names_the_server_and_the_token() -> None:
    env = {"HF_ENDPOINT": "https://mirror.example/", "HF_TOKEN": "t"}
    assert access(env) == Access(endpoint="https://mirror.example", token="t")
    assert access(env, "http://127.0.0.1:1").endpoint == "http://127.0.0.1:1"
    with pytest.raises(LabError, match="http"):
        access({"HF_ENDPOINT": "ftp://x"})

"""Event lines: what survives a round trip, a tear, a full disk and too much text."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runs.events import (
    MAX_LINE_BYTES,
    Artifact,
    Event,
    EventLog,
    EventTail,
    Note,
    Progress,
    Sample,
    Start,
    Step,
    decode,
    encode,
    number,
    read_events,
)

FILL_THE_DISK = """
import resource, signal, sys
from pathlib import Path
from runs.events import EventLog, Note

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
log = EventLog(Path(sys.argv[1]), clock=lambda: 1.0)
results = [log.append(Note(message="x" * 300)) for _ in range(6)]
assert results == [True, True, False, False, False, False], results
assert log.num_dropped == 4, log.num_dropped
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
assert log.append(Note(message="space again"))
assert log.num_dropped == 0, log.num_dropped
log.close()
"""

text = st.text(max_size=40)
numbers = st.floats() | st.integers(min_value=-(2**60), max_value=2**60)
metrics = st.dictionaries(text, st.floats(), max_size=6)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Step, step=st.integers(0), total_steps=st.integers(0), metrics=metrics),
    st.builds(Progress, done=st.floats(), total=st.floats(), unit=text, label=text),
    st.builds(Sample, step=st.integers(0), prompt=text, text=text, settings=metrics),
    st.builds(Artifact, name=text, path=text, bytes=st.integers(0), sha256=text),
    st.builds(Note, message=text, data=st.dictionaries(text, numbers | text, max_size=4)),
)


def same(written: object, read: object) -> bool:
    """Return whether a value came back as it was written; text loses lone surrogates."""
    if isinstance(written, dict):
        return isinstance(read, dict) and all(
            same(value, read.get(_storable(key))) for key, value in written.items()
        )
    if isinstance(written, float):
        parsed = number(read)
        return parsed == written or (parsed is not None and math.isnan(parsed + written))
    if isinstance(written, str):
        return read == _storable(written)
    return written == read


def _storable(value: object) -> str:
    return str(value).encode("utf-8", errors="replace").decode()


@given(event=events, seq=st.integers(0, 10**9))
def test_every_event_survives_the_round_trip(event: Event, seq: int) -> None:
    line = encode(event, seq=seq, t=12.5)
    record = decode(line)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert record is not None
    assert (record.seq, record.t, record.kind) == (seq, 12.5, event.kind)
    for name, value in record.data.items():
        assert same(getattr(event, name), value), name


@given(message=st.text(min_size=2000, max_size=20_000), seq=st.integers(0, 10**9))
def test_no_line_is_longer_than_four_kilobytes(message: str, seq: int) -> None:
    line = encode(Note(message=message, data={"more": message}), seq=seq, t=1.0)
    assert len(line) <= MAX_LINE_BYTES
    record = decode(line)
    assert record is not None and record.kind == "note"


def test_line_that_was_cut_says_so() -> None:
    record = decode(encode(Note(message="y" * 10_000), seq=0, t=1.0))
    assert record is not None
    assert record.data["truncated"] is True
    assert record.data["message"].startswith("yyy")


def test_even_an_event_of_a_thousand_metrics_stays_a_line() -> None:
    many = {f"metric_{i}": float(i) for i in range(1000)}
    line = encode(Step(step=1, total_steps=2, metrics=many), seq=3, t=1.0)
    record = decode(line)
    assert len(line) <= MAX_LINE_BYTES
    assert record is not None and (record.seq, record.kind) == (3, "step")


def test_non_finite_numbers_are_text_that_strict_json_accepts() -> None:
    values = {"a": math.nan, "b": math.inf, "c": -math.inf}
    line = encode(Step(step=1, total_steps=1, metrics=values), seq=0, t=1.0)
    stored = json.loads(line, parse_constant=lambda name: 1 / 0)["metrics"]
    assert stored == {"a": "NaN", "b": "Infinity", "c": "-Infinity"}
    assert [number(value) for value in stored.values()][1:] == [math.inf, -math.inf]


def test_numbers_of_numpy_are_written_as_numbers() -> None:
    values = {"a": np.float32(0.5), "b": np.float64(2.0), "c": np.int64(3)}
    line = encode(Step(step=1, total_steps=1, metrics=values), seq=0, t=1.0)  # type: ignore[arg-type]
    assert json.loads(line)["metrics"] == {"a": 0.5, "b": 2.0, "c": 3.0}


def test_tail_waits_for_the_rest_of_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    tail = EventTail(path)
    assert tail.read() == []
    line = encode(Note(message="whole"), seq=0, t=1.0)
    path.write_bytes(line[:10])
    assert tail.read() == []
    path.write_bytes(line)
    assert [record.data["message"] for record in tail.read()] == ["whole"]
    assert tail.read() == []


def test_reader_skips_what_it_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    good = encode(Note(message="good"), seq=0, t=1.0)
    foreign = [b'{"v":99,"seq":1,"t":1,"kind":"note"}\n', b"null\n", b"\xff\xfe\n", b"\n"]
    path.write_bytes(good[:20] + b"\n" + b"".join(foreign) + good)
    tail = EventTail(path)
    assert [record.data["message"] for record in tail.read()] == ["good"]
    assert tail.num_malformed == 4


def test_log_is_not_created_before_the_first_event(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "e.jsonl"
    with EventLog(path) as log:
        assert not path.exists()
        assert log.append(Note(message="a"))
    assert [record.seq for record in read_events(path)] == [0]


def test_full_disk_is_counted_and_reported_and_never_raised(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    command = [sys.executable, "-c", FILL_THE_DISK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    records = list(read_events(path))
    assert [record.kind for record in records] == ["note", "note", "alert", "note"]
    assert records[2].data["message"] == "4 events lost"
    assert records[3].data["message"] == "space again"


def test_unwritable_place_is_counted_and_never_raised(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = EventLog(tmp_path / "file" / "e.jsonl")
    assert not log.append(Note(message="a"))
    assert not log.append(Note(message="b"))
    assert log.num_dropped == 2
    log.close()


def test_start_without_torch_leaves_the_field_out() -> None:
    start = Start(
        stage="s", attempt=1, config_hash="c", host="h", device="cpu", torch=None, world_size=1,
        argv=("a",),
    )  # fmt: skip
    record = decode(encode(start, seq=0, t=0.0))
    assert record is not None
    assert "torch" not in record.data and "resumed_from" not in record.data


def test_a_line_nested_too_deep_is_malformed_and_not_a_crash() -> None:
    assert decode(b"[" * 4000) is None


def test_a_small_bound_gets_past_a_long_line(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(encode(Note(message="x" * 3000), seq=0, t=0.0))
    assert len(EventTail(path).read(max_bytes=10)) == 1

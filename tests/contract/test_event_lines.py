"""The event log's lines, byte for byte: outside tools and older runs depend on them."""

from __future__ import annotations

import math

import pytest

from runs.events import (
    Alert,
    Artifact,
    Checkpoint,
    End,
    Error,
    Eval,
    Event,
    Heartbeat,
    Note,
    Progress,
    Sample,
    Start,
    Step,
    Turn,
    decode,
    encode,
)

HEAD = b'{"v":1,"seq":17,"t":1763690000.123,"kind":'
GOLDEN: list[tuple[Event, bytes]] = [
    (
        Start(
            stage="base", attempt=2, config_hash="0f", host="lab", device="cpu", torch="2.9.0",
            world_size=1, argv=("-m", "labcli.worker"), resumed_from=100,
        ),
        b'"start","stage":"base","attempt":2,"config_hash":"0f","host":"lab","device":"cpu",'
        b'"torch":"2.9.0","world_size":1,"argv":["-m","labcli.worker"],"resumed_from":100}\n',
    ),
    (
        Progress(done=3, total=10, unit="docs", label="reading"),
        b'"progress","done":3,"total":10,"unit":"docs","label":"reading"}\n',
    ),
    (
        Step(step=120, total_steps=400, metrics={"loss": 3.21, "tokens": 983040, "mfu": math.nan}),
        b'"step","step":120,"total_steps":400,'
        b'"metrics":{"loss":3.21,"tokens":983040,"mfu":"NaN"}}\n',
    ),
    (
        Eval(step=400, val_bpb=1.5, val_sha256="ab", results={"spelling": {"accuracy": 0.5}}),
        b'"eval","step":400,"val_bpb":1.5,"val_sha256":"ab",'
        b'"results":{"spelling":{"accuracy":0.5}}}\n',
    ),
    (
        Sample(step=5, prompt="a", text="\u00e9", settings={"temperature": 0.7}),
        b'"sample","step":5,"prompt":"a","text":"\xc3\xa9","settings":{"temperature":0.7}}\n',
    ),
    (
        Turn(
            conversation=3, index=1, side="b", setting=0, label="T=0.6", tokens=9,
            entropy_nats=1.5, surprisal_nats=2.0, text="Hi", finish="stop",
            path="artifacts/selfchat/turns.jsonl", offset=10, bytes=20,
        ),
        b'"turn","conversation":3,"index":1,"side":"b","setting":0,"label":"T=0.6","tokens":9,'
        b'"entropy_nats":1.5,"surprisal_nats":2.0,"text":"Hi","finish":"stop",'
        b'"path":"artifacts/selfchat/turns.jsonl","offset":10,"bytes":20}\n',
    ),
    (
        Checkpoint(step=400, path="checkpoints/base/step_000400", bytes=99, sha256="cd"),
        b'"checkpoint","step":400,"path":"checkpoints/base/step_000400","bytes":99,'
        b'"sha256":"cd"}\n',
    ),
    (
        Artifact(name="tokenizer", path="artifacts/tok/tokenizer.json", bytes=7, sha256="ef"),
        b'"artifact","name":"tokenizer","path":"artifacts/tok/tokenizer.json","bytes":7,'
        b'"sha256":"ef"}\n',
    ),
    (
        Alert(code="loss-spike", severity="warning", message="loss doubled"),
        b'"alert","code":"loss-spike","severity":"warning","message":"loss doubled"}\n',
    ),
    (
        Note(message="eager", data={"why": "no compiler"}),
        b'"note","message":"eager","data":{"why":"no compiler"}}\n',
    ),
    (
        Error(type="OSError", message="disk", traceback="at line 1"),
        b'"error","type":"OSError","message":"disk","traceback":"at line 1"}\n',
    ),
    (Heartbeat(), b'"heartbeat"}\n'),
    (End(reason="finished"), b'"end","reason":"finished"}\n'),
]  # fmt: skip


@pytest.mark.parametrize(("event", "tail"), GOLDEN, ids=[event.kind for event, _ in GOLDEN])
def test_line_of_each_kind_is_stable(event: Event, tail: bytes) -> None:
    assert encode(event, seq=17, t=1763690000.1234) == HEAD + tail


@pytest.mark.parametrize(("event", "tail"), GOLDEN, ids=[event.kind for event, _ in GOLDEN])
def test_line_of_each_kind_reads_back(event: Event, tail: bytes) -> None:
    record = decode(HEAD + tail)
    assert record is not None
    assert (record.kind, record.seq, record.t) == (event.kind, 17, 1763690000.123)


def test_every_kind_has_a_golden_line() -> None:
    kinds = {kind.kind for kind in Event.__subclasses__()}
    assert kinds == {event.kind for event, _ in GOLDEN}

"""nanochat's tokenizer.pkl: read, and never unpickled."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiktoken

from core.tokenizer import SPLIT_PATTERN
from core.vocab.importing import load_vocabulary
from core.vocab.nanochat_export import nanochat_files
from runs.errors import Corrupt
from tests.tokenizer.builders import trained
from tests.tokenizer.vocab_files import write

TOKENIZER = trained()


class Exploit:
    """Runs a command when it is unpickled."""

    def __init__(self, call: Callable[..., object], *arguments: object) -> None:
        self._call = (call, arguments)

    def __reduce__(self) -> Any:
        return self._call


def nested_tuples(depth: int) -> bytes:
    return b"\x80\x04)" + b"\x85" * depth + b"."


def bomb_of_lists() -> bytes:
    return b"\x80\x04]\x94" + b"(h\x00h\x00e\x94" * 5000 + b"."


PICKLE = nanochat_files(TOKENIZER)["tokenizer.pkl"]


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
@pytest.mark.parametrize(
    ("call", "arguments"),
    [(os.system, ("touch pwned",)), (eval, ("1/0",)), (exec, ("import os",)), (time.sleep, (99,))],
)
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[..., object],
    arguments: tuple[object, ...],
    protocol: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    payload = pickle.dumps({"mergeable_ranks": Exploit(call, *arguments)}, protocol)
    path = write(tmp_path, "tokenizer.pkl", payload)
    with pytest.raises(Corrupt, match="not a pickled tiktoken"):
        load_vocabulary(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokenizer.pkl"]


def test_the_forbidden_import_of_a_pickle_is_named(tmp_path: Path) -> None:
    inside = PICKLE.replace(b"tiktoken.core", b"os").replace(b"\x8c\x0dos", b"\x8c\x02os")
    inside = inside.replace(b"\x8c\x08Encoding", b"\x8c\x06system")
    # Without its frame's length the pickle stays well formed.
    start = inside.index(b"\x95")
    with pytest.raises(Corrupt, match=r"import 'os\.system', which is forbidden"):
        load_vocabulary(
            write(tmp_path, "tokenizer.pkl", inside[:start] + inside[start + 9 :])
        )  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80",
        PICKLE[:-1],
        PICKLE[: len(PICKLE) // 2],
        PICKLE[:40] + b"\xff" + PICKLE[41:],
        pickle.dumps({"pat_str": "a"}),
        pickle.dumps([1, 2, 3]),
        nested_tuples(2_000_000),
        bomb_of_lists(),
        b"\x80\x04}" + b"}" * 1_000_000 + b".",
        b"\x80\x04r\xff\xff\xff\xff.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04\x8b\xff\xff\xff\x7f.",
        b"\x80\x04j\x01\x00\x00\x00.",
        b"\x80\x04u.",
        b"\x80\x04b.",
        b"\x80\x04}(K\x01K\x02u.",
        b"\x80\x04}(\x8c\x01au.",
        b"I" + b"9" * 100_000 + b"\n.",
    ],
)
def test_a_damaged_or_hostile_pickle_is_corrupt(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Corrupt):
        load_vocabulary(write(tmp_path, "tokenizer.pkl", content))


def encoding_pickle(protocol: int = 4, **changes: Any) -> bytes:
    encoding = tiktoken.Encoding(
        "rustbpe",
        pat_str=SPLIT_PATTERN,
        mergeable_ranks=dict(TOKENIZER.mergeable_ranks),
        special_tokens={"<|bos|>": TOKENIZER.vocab_size},
    )
    for name, value in changes.items():
        setattr(encoding, name, value)
    return pickle.dumps(encoding, protocol)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_pickled_encoding_is_read_in_every_protocol_that_holds_bytes(
    tmp_path: Path, protocol: int
) -> None:
    found = load_vocabulary(write(tmp_path, "tokenizer.pkl", encoding_pickle(protocol)))
    assert found.tokenizer.merges == TOKENIZER.merges
    assert found.notes == ("special tokens have new ids: <|bos|>",)


@pytest.mark.parametrize(
    "changes",
    [
        {"_mergeable_ranks": {b"a": "0"}},
        {"_mergeable_ranks": {b"a": -1}},
        {"_mergeable_ranks": {"a": 1}},
        {"_mergeable_ranks": None},
        {"_special_tokens": {"x": True}},
        {"_pat_str": None},
        {"_pat_str": "("},
        {"_mergeable_ranks": {b"a": 0}},
    ],
)
def test_an_encoding_with_impossible_fields_is_corrupt(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(Corrupt, match=r"tokenizer\.pkl"):
        load_vocabulary(write(tmp_path, "tokenizer.pkl", encoding_pickle(**changes)))

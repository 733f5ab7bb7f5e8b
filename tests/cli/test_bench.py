"""`labcli bench tokenizer`: what it measures, what it says, and what it leaves behind."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.bpe import train_words
from core.vocab.byte_alphabet import to_chars
from core.vocab.byte_merges import digest, from_ids
from labcli.bench import merges, tools
from labcli.bench import tokenizer as bench
from labcli.bench.job import Job
from labcli.bench.text import copy_text
from labcli.commands.bench.options import parse_size
from runs.errors import UsageError
from tests.cli.conftest import Labcli

SHARED_FIELDS = {"task", "tool", "version", "pattern", "bytes"}
TRAIN_FIELDS = SHARED_FIELDS | {
    "cpu_s", "wall_s", "peak_memory_bytes", "net_memory_bytes", "rounds", "sha256", "vocab_size",
    "ratio_cpu", "ratio_wall", "merges_equal", "tokens_shared",
}  # fmt: skip
ENCODE_FIELDS = TRAIN_FIELDS - {"merges_equal", "tokens_shared"} | {"pass", "ids_equal"}
LINES = [
    f"{'abcdefgh'[n % 8] * (n % 5 + 1)} the {n}th caf\u00e9 of {n * 37 % 1000} "
    "in \u6771\u4eac, isn't it?"
    for n in range(300)
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus"
    path.mkdir()
    table = pa.table({"text": pa.array(LINES[:200], pa.string())})
    pq.write_table(table, path / "a.parquet")
    more = pa.table({"text": pa.array([*LINES[200:], None, ""], pa.large_string())})
    pq.write_table(more, path / "b.parquet")
    return path


def quick(corpus: Path, *more: str) -> list[str]:
    """Return a command line that takes a few seconds."""
    words = ["bench", "tokenizer", "--corpus", str(corpus), "--rounds", "1", "--vocab-size", "300"]
    return [*words, *more]


def rows_by_tool(text: str, task: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a task by tool, from the one line on stdout."""
    (line,) = text.splitlines()
    found: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads(line):
        if row["task"] == task:
            found.setdefault(row["tool"], []).append(row)
    return found


def test_training_rows_show_merges_equal_to_rustbpe(labcli: Labcli, corpus: Path) -> None:
    result = labcli(*quick(corpus, "--json", "--task", "train", "--tool", "rustbpe"))
    assert result.code == 0, result.err
    rows = rows_by_tool(result.out, "train")
    assert list(rows) == ["read", "labcli", "rustbpe"]
    (ours,), (theirs,) = rows["labcli"], rows["rustbpe"]
    assert set(ours) == set(theirs) == TRAIN_FIELDS
    assert ours["sha256"] == theirs["sha256"]
    assert theirs["merges_equal"]
    assert theirs["tokens_shared"] == 1.0
    assert theirs["version"] == metadata.version("rustbpe")
    assert (ours["ratio_cpu"], ours["vocab_size"], ours["rounds"]) == (1.0, 300, 1)
    assert ours["bytes"] == sum(len(line.encode()) for line in LINES)
    assert 0 <= ours["net_memory_bytes"] < ours["peak_memory_bytes"]
    assert ours["cpu_s"] > 0
    assert ours["wall_s"] > 0


def test_encoding_rows_show_ids_equal_to_tiktoken(labcli: Labcli, corpus: Path) -> None:
    result = labcli(*quick(corpus, "--json", "--task", "encode", "--tool", "tiktoken"))
    assert result.code == 0, result.err
    rows = rows_by_tool(result.out, "encode")
    assert list(rows) == ["labcli", "tiktoken"]
    for found in rows.values():
        assert [row["pass"] for row in found] == ["first", "warm"]
        assert all(set(row) == ENCODE_FIELDS for row in found)
    assert {row["sha256"] for found in rows.values() for row in found} == {
        rows["labcli"][0]["sha256"]
    }
    assert all(row["ids_equal"] for row in rows["tiktoken"])


def test_hugging_face_gives_the_same_ids(labcli: Labcli, corpus: Path) -> None:
    result = labcli(*quick(corpus, "--json", "--tool", "tokenizers"))
    assert result.code == 0, result.err
    (trained,) = rows_by_tool(result.out, "train")["tokenizers"]
    # It breaks ties in another order, and this text is full of them.
    assert 0.5 < trained["tokens_shared"] < 1.0
    assert not trained["merges_equal"]
    assert all(row["ids_equal"] for row in rows_by_tool(result.out, "encode")["tokenizers"])


def test_table_has_one_line_for_each_row(labcli: Labcli, corpus: Path) -> None:
    result = labcli(*quick(corpus, "--task", "train", "--tool", "rustbpe", "--pattern", "gpt2"))
    lines = result.out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["TASK", "TOOL"], ["train", "read"], ["train", "labcli"], ["train", "rustbpe"],
    ]  # fmt: skip
    assert lines[3].endswith("  equal")
    assert "300 documents" in result.err
    assert "which holds no more" in result.err


def test_missing_peer_is_named_with_the_way_to_install_it(
    labcli: Labcli, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "installed_version", lambda package: None)
    result = labcli(*quick(corpus, "--json", "--task", "train"))
    assert result.code == 0, result.err
    wanted = (
        "not installed, so not measured: rustbpe, tokenizers (in the clone: "
        "uv sync --extra bench, or: pip install -e '.[bench]'); "
        "bpeasy, gigabpe (pip install bpeasy gigabpe)"
    )
    assert result.err.splitlines()[0] == wanted
    assert list(rows_by_tool(result.out, "train")) == ["read", "labcli"]


def test_tool_with_one_pattern_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "installed_version", lambda package: "1")
    found = tools.pick_tools(["gigabpe"], ["train"], "lab")
    assert [tool.name for tool in found.tools] == ["labcli"]
    (line,) = tools.describe_left_out(found)
    assert line.endswith("it is measured with --pattern gpt2")


def test_failing_peer_becomes_a_row_and_the_rest_goes_on(
    labcli: Labcli, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_tool(monkeypatch, "rustbpe")
    result = labcli(*quick(corpus, "--json", "--task", "train", "--tool", "rustbpe"))
    assert result.code == 0
    rows = rows_by_tool(result.out, "train")
    assert rows["rustbpe"][0]["error"] == "out of luck"
    assert "error" not in rows["labcli"][0]


def test_failure_of_labcli_itself_is_exit_code_1(
    labcli: Labcli, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_tool(monkeypatch, "labcli")
    result = labcli(*quick(corpus, "--json", "--tool", "rustbpe"))
    assert result.code == 1
    rows = rows_by_tool(result.out, "train")
    assert rows["labcli"][0]["error"] == "out of luck"
    assert rows["rustbpe"][0]["sha256"]
    (encoding,) = rows_by_tool(result.out, "encode")["labcli"]
    assert encoding["error"] == "no vocabulary: training failed: out of luck"


def break_tool(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let every measurement of one tool fail."""
    run_worker = bench.run_worker

    def run(job: Job) -> list[Any]:
        if job.tool == name:
            raise bench.ToolFailed("out of luck")
        return list(run_worker(job))

    monkeypatch.setattr(bench, "run_worker", run)


def test_worker_that_dies_leaves_its_last_line(corpus: Path, tmp_path: Path) -> None:
    text = copy_text(corpus, tmp_path, limit=10**6, with_text_file=False)
    plan = bench.Bench(text=text, directory=tmp_path, pattern="lab", vocab_size=300, rounds=1)
    with pytest.raises(bench.ToolFailed, match=r"^KeyError: 'nobody'$"):
        bench.run_worker(plan.job("train", "nobody"))


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        (None, b"", 3, "is not a directory"),
        ("notes.rtf", b"text", 3, "holds no text"),
        ("a.parquet", b"PAR1 and then nothing", 5, "cannot be read"),
    ],
)
def test_unusable_directory_is_one_line(
    labcli: Labcli, tmp_path: Path, name: str | None, content: bytes, code: int, message: str
) -> None:
    path = tmp_path / "given"
    if name is not None:
        path.mkdir()
        (path / name).write_bytes(content)
    result = labcli(*quick(path, "--tool", "rustbpe"))
    assert (result.code, result.out) == (code, "")
    (line,) = result.err.splitlines()
    assert line.startswith("labcli: error: ")
    assert message in line


def test_parquet_without_texts_is_a_usage_error(labcli: Labcli, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [1, 2], "other": ["a", "b"]}), tmp_path / "a.parquet")
    result = labcli(*quick(tmp_path, "--tool", "rustbpe"))
    assert result.code == 2
    assert "it has text (int64), other (string)" in result.err


@pytest.mark.parametrize(
    "words",
    [["--size", "3"], ["--size", "0mb"], ["--tool", "rustpbe"], ["--vocab-size", "256"]],
)
def test_unusable_option_is_exit_code_2(labcli: Labcli, corpus: Path, words: list[str]) -> None:
    result = labcli(*quick(corpus), *words)
    assert (result.code, result.out) == (2, "")


def test_sizes_are_decimal() -> None:
    assert [parse_size(text) for text in ("20mb", "350 MB", "64kb")] == [20e6, 350e6, 64e3]
    with pytest.raises(UsageError):
        parse_size("20")


def test_text_is_cut_at_whole_documents(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("two\n" * 10)
    (tmp_path / "a.txt").write_bytes(b"one \xff\n")
    (tmp_path / "c.py").write_text("not a text file")
    # The working copy may lie below the directory that is read, as it does below /tmp.
    into = tmp_path / "into"
    into.mkdir()
    first = copy_text(tmp_path, into, limit=20, with_text_file=True)
    assert (first.num_docs, first.num_bytes, first.is_all) == (1, 8, False)
    assert first.sha256 == hashlib.sha256("one \ufffd\n\n".encode()).hexdigest()
    assert (into / "text.txt").read_text(encoding="utf-8") == "one \ufffd\n\n"


def test_help_names_the_tasks_the_sizes_and_the_patterns(labcli: Labcli) -> None:
    result = labcli("bench", "tokenizer", "--help")
    assert (result.code, result.err) == (0, "")
    for word in ("20mb|100mb|350mb", "lab|gpt4|gpt2", "train|encode", "--corpus", "--rounds"):
        assert word in result.out


def test_merges_are_found_again_in_tokens() -> None:
    words = {line.encode(): 1 + index % 3 for index, line in enumerate(LINES[:40])}
    pairs = from_ids(train_words(words, 60))
    assert merges.from_tokens(merges.tokens_of(pairs)) == pairs


def test_merges_are_found_again_in_the_printable_alphabet() -> None:
    pairs = [(bytes([value]), b"\x00\xff ") for value in range(256)]
    written = [[to_chars(half) for half in pair] for pair in pairs]
    assert merges.from_written(written) == pairs
    with pytest.raises(ValueError, match="not written in the printable alphabet"):
        merges.from_written([["a", " "]])


def test_digest_tells_where_one_half_ends() -> None:
    assert digest([(b"a", b"bc")]) != digest([(b"ab", b"c")])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_interrupted_benchmark_leaves_no_process(
    corpus: Path, tmp_path: Path, number: signal.Signals
) -> None:
    if number is signal.SIGKILL and not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells a worker that its parent was killed")
    words = [sys.executable, "-P", "-m", "labcli.app", *quick(corpus), "--rounds", "1000"]
    env = {**os.environ, "LABCLI_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    started = subprocess.Popen(
        words,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell without job control starts its background jobs with Ctrl-C switched off.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    workers = wait_for_workers(started.pid)
    started.send_signal(number)
    started.communicate(timeout=60)
    assert started.returncode == (130 if number is signal.SIGINT else -number)
    gone, alive = psutil.wait_procs(workers, timeout=20)
    assert gone
    assert not alive


def wait_for_workers(pid: int) -> list[psutil.Process]:
    """Return the worker that a benchmark has started."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = [
            child
            for child in psutil.Process(pid).children(recursive=True)
            if "labcli.bench.worker" in child.cmdline()
        ]
        if children:
            return children
        time.sleep(0.02)
    raise AssertionError("no worker was started")

"""`labcli tok` train, encode, decode, import and export, and what --tokenizer may name."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tiktoken
import tokenizers
import torch

from core.data import corpus, sources
from core.data.sources import Source
from core.tokenizer import SPECIAL_TOKENS, Tokenizer
from core.vocab import known
from core.vocab.patterns import GPT2_PATTERN
from runs.errors import ExitCode
from runs.paths import LabHome
from tests.builders import artifact, build_run
from tests.cli.conftest import Labcli, Result
from tests.data.builders import write_package
from tests.tokenizer.builders import SENTENCES, trained

TEXT = "".join(SENTENCES * 3)
Piped = Callable[..., Result]


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    return path


@pytest.fixture
def piped(labcli: Labcli, monkeypatch: pytest.MonkeyPatch) -> Piped:
    """Call labcli with bytes on stdin."""

    def call(*words: str, stdin: bytes) -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        return labcli(*words)

    return call


@pytest.fixture
def saved(home: LabHome) -> Tokenizer:
    tokenizer = trained()
    tokenizer.save(home.tokenizers_dir / "mine.json")
    return tokenizer


# --- train ------------------------------------------------------------------------------------


def test_train_keeps_the_tokenizer_in_the_lab_home_and_tells_all_about_it(
    labcli: Labcli, home: LabHome, text_file: Path
) -> None:
    result = labcli("tok", "train", str(text_file), "--vocab-size", "320", "--json")
    body = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    path = home.tokenizers_dir / "lab-320.json"
    assert body["path"] == str(path)
    assert body["sha256"] == Tokenizer.from_file(path).hash
    assert (body["name"], body["vocab_size"], body["pattern"]) == ("lab-320", 320, "lab")
    assert (body["num_docs"], body["num_chars"], body["num_replaced"]) == (1, len(TEXT), 0)
    assert len(body["merges_sha256"]) == 64
    assert body["bytes_per_token"] > 1
    assert body["memory_bytes"] > 0


def test_train_in_words_names_size_compression_and_hash(labcli: Labcli, text_file: Path) -> None:
    result = labcli("tok", "train", str(text_file), "--vocab-size", "320", "--pattern", "gpt2")
    shown = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert (shown["name"], shown["size"], shown["pattern"]) == ("gpt2-320", "320 ids", "gpt2")
    assert shown["compression"].endswith("bytes per token")
    assert len(shown["sha256"]) == 64
    assert max(map(len, result.out.splitlines()[:-1])) <= 80


def test_train_reads_stdin_and_writes_where_it_is_told(piped: Piped, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "own.json"
    words = ("tok", "train", "-", "--vocab-size", "300", "--out", str(out))
    assert piped(*words, stdin=TEXT.encode()).code == 0
    assert Tokenizer.from_file(out).vocab_size == 300


def test_train_replaces_another_tokenizer_only_when_forced(
    labcli: Labcli, home: LabHome, text_file: Path
) -> None:
    words = ("tok", "train", str(text_file), "--name", "mine", "--vocab-size")
    assert labcli(*words, "300").code == 0
    assert labcli(*words, "300").code == 0
    refused = labcli(*words, "310")
    assert (refused.code, refused.out) == (ExitCode.USAGE, "")
    assert "holds another tokenizer; --force replaces it" in refused.err
    assert Tokenizer.from_file(home.tokenizers_dir / "mine.json").vocab_size == 300
    assert labcli(*words, "310", "--force").code == 0
    assert Tokenizer.from_file(home.tokenizers_dir / "mine.json").vocab_size == 310


def test_train_says_when_the_text_ran_out_of_pairs(piped: Piped) -> None:
    result = piped("tok", "train", "-", "--vocab-size", "5000", "--name", "small", stdin=b"aaaa")
    assert result.code == 0
    assert "ran out of pairs at 267 of 5000 ids" in result.err


def test_train_counts_or_refuses_bytes_that_are_not_utf8(piped: Piped) -> None:
    words = ("tok", "train", "-", "--vocab-size", "270", "--name", "odd")
    replaced = piped(*words, stdin=b"good \xff text")
    assert "bytes that are not UTF-8, read as U+FFFD: 1" in replaced.err
    refused = piped(*words, "--errors", "refuse", stdin=b"good \xff text")
    assert refused.code == ExitCode.USAGE
    assert "stdin: the document is not UTF-8 at byte 5" in refused.err


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("--vocab-size", "264"), ExitCode.USAGE, "the least is 265"),
        (("--pattern", "("), ExitCode.USAGE, "does not compile"),
        (("--pattern", ""), ExitCode.USAGE, "the split pattern is empty"),
        (("--name", "../x"), ExitCode.USAGE, "cannot name a tokenizer"),
        (("--name", "x", "--out", "y"), ExitCode.USAGE, "not both"),
        (("--errors", "ignore"), ExitCode.USAGE, "--errors"),
        (("absent.txt",), ExitCode.NOT_FOUND, "no text at absent.txt"),
    ],
)
def test_train_refuses_in_one_line(
    labcli: Labcli, text_file: Path, words: tuple[str, ...], code: ExitCode, reason: str
) -> None:
    result = labcli("tok", "train", str(text_file), *words)
    assert (result.code, result.out, result.err.count("\n")) == (code, "", 1)
    assert reason in result.err


@pytest.mark.parametrize("place", ["core.vocab.training.merge_pairs", "os.fsync"])
def test_an_interrupted_training_leaves_no_file(
    labcli: Labcli, home: LabHome, text_file: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def interrupt(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupt)
    result = labcli("tok", "train", str(text_file), "--vocab-size", "300")
    assert (result.code, result.out) == (ExitCode.INTERRUPTED, "")
    assert [path for path in home.root.rglob("*") if path.is_file()] == []


def test_train_of_an_empty_text_is_refused(piped: Piped, home: LabHome) -> None:
    result = piped("tok", "train", "-", stdin=b"")
    assert result.code == ExitCode.USAGE
    assert "no text to train on in stdin" in result.err
    assert not home.tokenizers_dir.exists()


# --- encode and decode ------------------------------------------------------------------------


def test_encode_writes_ids_on_one_line_and_decode_reads_them(
    labcli: Labcli, piped: Piped, saved: Tokenizer
) -> None:
    ids = labcli("tok", "encode", TEXT, "--tokenizer", "mine")
    assert ids.out == " ".join(map(str, saved.encode(TEXT))) + "\n"
    back = piped("tok", "decode", "--tokenizer", "mine", stdin=ids.out.encode())
    assert (back.code, back.out, back.err) == (0, TEXT + "\n", "")


def test_encode_in_json_counts_tokens_bytes_and_characters(
    labcli: Labcli, saved: Tokenizer
) -> None:
    text = "Gr\u00fc\u00dfe aus K\u00f6ln"
    body = json.loads(labcli("tok", "encode", text, "--tokenizer", "mine", "--json").out)
    ids = saved.encode(text)
    assert body == {
        "tokenizer": "mine",
        "ids": ids,
        "num_tokens": len(ids),
        "num_bytes": len(text.encode()),
        "num_chars": len(text),
        "bytes_per_token": round(len(text.encode()) / len(ids), 4),
    }


def test_names_of_special_tokens_are_text_unless_allowed(labcli: Labcli, saved: Tokenizer) -> None:
    text = "<|bos|>hi<|user_end|>"
    words = ("tok", "encode", text, "--tokenizer", "mine")
    assert labcli(*words).out.split() == [str(index) for index in saved.encode(text)]
    special = [saved.bos, *saved.encode("hi"), saved.special("user_end")]
    assert labcli(*words, "--allow-special").out.split() == [str(index) for index in special]


@pytest.mark.parametrize("text", ["", "\ud800 alone", "a" * 100_000])
def test_encode_takes_any_text(labcli: Labcli, saved: Tokenizer, text: str) -> None:
    result = labcli("tok", "encode", text, "--tokenizer", "mine", "--json")
    body = json.loads(result.out)
    assert result.code == 0
    assert saved.decode(body["ids"]) == text.replace("\ud800", "\ufffd")
    assert body["num_bytes"] == len(saved.decode_bytes(body["ids"]))


def test_encode_of_a_long_line_in_a_file_is_that_of_the_line_in_one_piece(
    labcli: Labcli, saved: Tokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "long.txt"
    path.write_text("one line without an end, " * 8000)
    result = labcli("tok", "encode", "--file", str(path), "--tokenizer", "mine")
    assert result.out.split() == list(map(str, saved._encoding.encode_ordinary(path.read_text())))


def test_encode_without_a_text_reads_stdin(piped: Piped, saved: Tokenizer) -> None:
    result = piped("tok", "encode", "--tokenizer", "mine", stdin=b"hi")
    assert result.out.split() == [str(index) for index in saved.encode("hi")]


@pytest.mark.parametrize("words", [("72,105",), ("[72, 105]",), ("72", "105")])
def test_decode_takes_ids_by_spaces_commas_or_as_json(
    labcli: Labcli, saved: Tokenizer, words: tuple[str, ...]
) -> None:
    assert labcli("tok", "decode", *words, "--tokenizer", "mine").out == "Hi\n"


def test_decode_shows_invalid_utf8_and_counts_it(labcli: Labcli, saved: Tokenizer) -> None:
    words = ("tok", "decode", "72", "240", "159", "105", "255", "--tokenizer", "mine")
    result = labcli(*words)
    assert result.out == "H\ufffdi\ufffd\n"
    assert "bytes that are not UTF-8, shown as U+FFFD: 2" in result.err
    assert json.loads(labcli(*words, "--json").out)["num_replaced"] == 2


def test_decode_can_write_bytes_as_they_are(
    labcli: Labcli, saved: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw))
    assert labcli("tok", "decode", "72", "255", "10", "--bytes", "--tokenizer", "mine").code == 0
    assert raw.getvalue() == b"H\xff\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("99999",), "token id 99999 is outside the vocabulary of 381"),
        (("72", "x"), "'x' is not a token id"),
        (("--", "-1"), "'-1' is not a token id"),
        (("1.5",), "'1.5' is not a token id"),
        (("9" * 5000,), "is not a token id"),
        (("72", "--json", "--bytes"), "exclude each other"),
    ],
)
def test_decode_refuses_in_one_line(
    labcli: Labcli, saved: Tokenizer, words: tuple[str, ...], reason: str
) -> None:
    result = labcli("tok", "decode", "--tokenizer", "mine", *words)
    assert (result.code, result.out, result.err.count("\n")) == (ExitCode.USAGE, "", 1)
    assert reason in result.err


class Terminal(io.StringIO):
    """A stdout that a person sees."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("is_plain", [False, True])
def test_a_terminal_is_shown_the_tokens(
    labcli: Labcli, saved: Tokenizer, monkeypatch: pytest.MonkeyPatch, is_plain: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if is_plain:
        monkeypatch.setenv("NO_COLOR", "1")
    assert labcli("tok", "encode", "a \x1b[31mb\n", "--tokenizer", "mine").code == 0
    shown = terminal.getvalue()
    assert ("\x1b[" in shown) is not is_plain
    assert "\x1b[31m" not in shown
    assert "\\n" in shown


# --- import and export ------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["tiktoken", "hf", "nanochat"])
def test_what_is_exported_can_be_imported(
    labcli: Labcli, home: LabHome, saved: Tokenizer, tmp_path: Path, form: str
) -> None:
    out = tmp_path / "out"
    assert labcli("tok", "export", "mine", "--format", form, "--out", str(out)).code == 0
    result = labcli("tok", "import", str(out), "--name", "back", "--json")
    body = json.loads(result.out)
    assert (body["format"], body["has_merges"], body["pattern"]) == (form, True, "lab")
    back = Tokenizer.from_file(home.tokenizers_dir / "back.json")
    assert (back.merges, back.pattern) == (saved.merges, saved.pattern)


def test_exports_are_read_by_the_tools_they_are_for(
    labcli: Labcli, saved: Tokenizer, tmp_path: Path
) -> None:
    from tiktoken.load import load_tiktoken_bpe

    for form in ("tiktoken", "hf", "nanochat"):
        directory = tmp_path / form
        directory.mkdir()
        assert labcli("tok", "export", "mine", "--format", form, "--out", str(directory)).code == 0
    ranks = load_tiktoken_bpe(str(tmp_path / "tiktoken" / "vocab.tiktoken"))
    encoding = tiktoken.Encoding(
        "x", pat_str=saved.pattern, mergeable_ranks=ranks, special_tokens={}
    )
    hub = tokenizers.Tokenizer.from_file(str(tmp_path / "hf" / "tokenizer.json"))
    for text in SENTENCES:
        assert encoding.encode_ordinary(text) == hub.encode(text).ids == saved.encode(text)
    assert hub.token_to_id("<|output_end|>") == saved.vocab_size - 1
    lengths = torch.load(tmp_path / "nanochat" / "token_bytes.pt", weights_only=True)
    assert lengths.tolist()[-len(SPECIAL_TOKENS) :] == [0] * len(SPECIAL_TOKENS)


def test_an_export_replaces_another_file_only_when_forced(
    labcli: Labcli, saved: Tokenizer, tmp_path: Path
) -> None:
    out = tmp_path / "vocab.tiktoken"
    out.write_text("something else")
    words = ("tok", "export", "mine", "--format", "tiktoken", "--out", str(out))
    refused = labcli(*words)
    assert (refused.code, out.read_text()) == (ExitCode.USAGE, "something else")
    assert labcli(*words, "--force").code == 0
    assert labcli(*words).code == 0


def test_an_import_tells_what_it_leaves_out(labcli: Labcli, tmp_path: Path) -> None:
    out = tmp_path / "tokenizer.json"
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    theirs.train_from_iterator(SENTENCES, trainer)
    theirs.save(str(out))
    result = labcli("tok", "import", str(out), "--name", "theirs")
    assert result.code == 0
    assert "special tokens left out: <|endoftext|>" in result.err
    assert "ids are renumbered" in result.err
    assert "pattern gpt2" in result.out


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"nonsense", ExitCode.CORRUPT),
        (b'{"v":1,', ExitCode.CORRUPT),
        (b'{"model": {"type": "Unigram"}}', ExitCode.USAGE),
        (b"\x80\x04cos\nsystem\n.", ExitCode.CORRUPT),
        (b"", ExitCode.CORRUPT),
    ],
)
def test_an_import_of_something_else_leaves_no_file(
    labcli: Labcli, home: LabHome, tmp_path: Path, content: bytes, code: ExitCode
) -> None:
    (tmp_path / "odd").write_bytes(content)
    result = labcli("tok", "import", str(tmp_path / "odd"), "--name", "odd")
    assert (result.code, result.out, result.err.count("\n")) == (code, "", 1)
    assert not home.tokenizers_dir.exists()


# --- what --tokenizer may name ----------------------------------------------------------------


def count_of(result: Result) -> int:
    assert result.code == 0, result.err
    return len(result.out.split())


def test_a_tokenizer_is_named_by_path_by_name_and_by_run(
    labcli: Labcli, home: LabHome, saved: Tokenizer, tmp_path: Path
) -> None:
    run = build_run(home, name="first")
    path = run.paths.artifacts_dir("tok") / "tokenizer.json"
    saved.save(path)
    run.finish("tok", artifact("tokenizer", "artifacts/tok/tokenizer.json"))
    names = [str(path), "mine", "last", "first", run.slug, run.run_id[:20], "last:tok"]
    wanted = len(saved.encode(TEXT))
    for name in names:
        assert count_of(labcli("tok", "encode", TEXT, "--tokenizer", name)) == wanted
    assert count_of(labcli("tok", "encode", TEXT)) == wanted


def test_a_known_name_is_found_or_told_where_it_was_looked_for(
    labcli: Labcli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(known, "_PACKAGES", {})
    result = labcli("tok", "encode", "hi", "--tokenizer", "cl100k_base")
    assert (result.code, result.err.count("\n")) == (ExitCode.NOT_FOUND, 1)
    assert f"cl100k_base is not on this machine; looked in {tmp_path / 'cache'}" in result.err


def test_an_unknown_tokenizer_names_the_nearest(labcli: Labcli, saved: Tokenizer) -> None:
    result = labcli("tok", "encode", "hi", "--tokenizer", "minee")
    assert (result.code, result.err.count("\n")) == (ExitCode.NOT_FOUND, 1)
    assert "no tokenizer or run matches 'minee'; closest: 'mine'" in result.err


def test_a_run_without_a_tokenizer_is_said_to_have_none(labcli: Labcli, home: LabHome) -> None:
    run = build_run(home)
    result = labcli("tok", "encode", "hi", "--tokenizer", "last")
    assert result.code == ExitCode.NOT_FOUND
    assert f"run {run.slug} has no tokenizer yet" in result.err


def test_a_fresh_home_gets_a_tokenizer_trained_once_on_the_documentation_here(
    labcli: Labcli, home: LabHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_package(tmp_path / "made_up")
    source = Source(name="made_up", version="1", root=tmp_path / "made_up")
    monkeypatch.setattr(sources, "embedded_sources", lambda: (source,))
    monkeypatch.setattr(corpus, "num_readers", lambda: 1)
    first, second = (labcli("tok", "encode", "hi") for _ in range(2))
    assert (first.code, first.out.count("\n"), second.err) == (0, 1, ""), first.err
    assert first.out == second.out
    assert "no run has a tokenizer yet; trained one" in first.err
    assert (home.tokenizers_dir / "default.json").is_file()
    assert labcli("tok", "encode", "hi", "--tokenizer", "default").out == first.out
    # The corpus is the one that a data stage would find.
    assert corpus.find_corpus(home.data_dir, (source,)) is not None


def test_the_pattern_of_a_tiktoken_file_is_told_when_it_is_used(
    labcli: Labcli, saved: Tokenizer, tmp_path: Path
) -> None:
    out = tmp_path / "x.tiktoken"
    labcli("tok", "export", "mine", "--format", "tiktoken", "--out", str(out))
    assert (
        "split pattern: lab, a guess" in labcli("tok", "encode", "hi", "--tokenizer", str(out)).err
    )
    words = ("tok", "import", str(out), "--name", "other", "--pattern", "gpt2")
    assert labcli(*words).code == 0
    saved_path = Path(json.loads(labcli(*words, "--json").out)["path"])
    assert Tokenizer.from_file(saved_path).pattern == GPT2_PATTERN

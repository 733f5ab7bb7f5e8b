"""`labcli tok explain`, `compare` and `eval` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.tokenizer import SPLIT_PATTERN, Tokenizer
from labcli.text import cells
from runs.errors import ExitCode
from tests.cli.conftest import Labcli
from tests.tokenizer.builders import trained

HOSTILE = "\x1b[2J\x1b]0;owned\x07 \u202e\x9b31m"


@pytest.fixture
def ref(tmp_path: Path) -> str:
    path = tmp_path / "small.json"
    trained().save(path)
    return str(path)


@pytest.fixture
def other_ref(tmp_path: Path) -> str:
    path = tmp_path / "bytes.json"
    Tokenizer((), pattern=SPLIT_PATTERN).save(path)
    return str(path)


def leaves(tree: dict[str, Any]) -> str:
    """Return the bytes of the leaves of a tree, as hex."""
    if "left" not in tree:
        return str(tree["bytes"])
    return leaves(tree["left"]) + leaves(tree["right"])


def test_explain_gives_every_token_its_merge_tree(labcli: Labcli, ref: str) -> None:
    done = labcli("tok", "explain", " tokenizers", "--tokenizer", ref, "--json")
    assert done.code == ExitCode.OK
    body = json.loads(done.out)
    tokenizer = Tokenizer.from_file(Path(ref))
    ids = tokenizer.encode(" tokenizers")
    assert body["text"] == " tokenizers"
    assert body["num_tokens"] == len(ids) == len(body["tokens"])
    assert [token["id"] for token in body["tokens"]] == ids
    assert "".join(token["bytes"] for token in body["tokens"]) == b" tokenizers".hex()
    for token in body["tokens"]:
        assert token["rank"] == token["id"]
        assert leaves(token["tree"]) == token["bytes"]
        assert token["tree"]["id"] == token["id"]
    assert [token["apart"]["kind"] for token in body["tokens"]][-1] == "end of text"
    assert max(len(token["bytes"]) for token in body["tokens"]) > 4


def test_explain_of_a_long_text_gives_arrays(labcli: Labcli, ref: str, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("the same words " * 1000)
    done = labcli("tok", "explain", "--file", str(path), "--tokenizer", ref, "--json")
    body = json.loads(done.out)
    assert "tokens" not in body
    assert len(body["ids"]) == len(body["starts"]) == len(body["words"]) == body["num_tokens"]
    assert (body["starts"][0], body["ends"][-1], body["cuts_character"]) == (0, 15000, [])
    one = labcli(
        "tok", "explain", "--file", str(path), "--tokenizer", ref, "--json", "--token", "700"
    )
    (token,) = json.loads(one.out)["tokens"]
    assert (token["index"], token["id"]) == (700, body["ids"][700])


def test_explain_shows_ids_reasons_and_trees(labcli: Labcli, ref: str) -> None:
    done = labcli("tok", "explain", " words in\n", "--tokenizer", ref)
    assert done.code == ExitCode.OK
    assert "word border" in done.out
    assert "end of text" in done.out
    assert '"\\n"' in done.out
    assert " = " in done.out
    assert "`- " in done.out
    assert done.out.isascii()
    boxed = labcli("tok", "explain", " words in\n", "--tokenizer", ref, "--box")
    assert "\u2514\u2500 " in boxed.out


def test_one_token_and_one_id_can_be_looked_at(labcli: Labcli, ref: str) -> None:
    words = ("--tokenizer", ref, "--steps", "--near", "3")
    token = labcli("tok", "explain", "\U0001f6f8 again", "--token", "1", *words)
    assert token.code == ExitCode.OK
    assert "cuts a character" in token.out
    assert "no token" in token.out
    found = labcli("tok", "explain", "--id", "256", *words)
    assert "  256 = " in found.out.splitlines()[0]
    special = labcli("tok", "explain", "--id", str(Tokenizer.from_file(Path(ref)).bos), *words)
    assert "a special token" in special.out
    body = json.loads(labcli("tok", "explain", "--id", "256", *words, "--json").out)
    assert (body["id"], leaves(body["tree"])) == (256, body["bytes"])
    assert body["near"][0]["relation"] == "same"
    assert body["words"][0]["steps"][-1]["rank"] == 256


@pytest.mark.parametrize("words", [(), ("--token", "0"), ("--steps", "--near", "5")])
def test_hostile_text_cannot_drive_the_terminal(
    labcli: Labcli, ref: str, words: tuple[str, ...]
) -> None:
    done = labcli("tok", "explain", HOSTILE, "--tokenizer", ref, *words)
    assert done.code == ExitCode.OK
    assert all(char.isprintable() or char == "\n" for char in done.out)
    assert "\\x1b" in done.out


def test_hostile_text_is_tame_in_comparisons_too(labcli: Labcli, ref: str, other_ref: str) -> None:
    text = f"{HOSTILE}\nthe same words {HOSTILE}"
    done = labcli("tok", "compare", text, "--tokenizer", ref, "--tokenizer", other_ref)
    assert all(char.isprintable() or char == "\n" for char in done.out)


def test_a_conversation_is_shown_with_what_is_learnt(
    labcli: Labcli, ref: str, tmp_path: Path
) -> None:
    path = tmp_path / "talk.json"
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    path.write_text(json.dumps({"messages": messages}))
    words = ("tok", "explain", "--conversation", str(path), "--tokenizer", ref)
    body = json.loads(labcli(*words, "--json").out)
    assert body["num_tokens"] == len(body["tokens"])
    assert body["num_supervised"] == sum(token["mask"] for token in body["tokens"])
    assert [token["text"] for token in body["tokens"] if token["is_special"]] == [
        "<|bos|>", "<|user_start|>", "<|user_end|>", "<|assistant_start|>", "<|assistant_end|>"
    ]  # fmt: skip
    shown = labcli(*words).out
    assert "<|assistant_end|>" in shown and "learn" in shown


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), ExitCode.USAGE),
        (("x", "--id", "3"), ExitCode.USAGE),
        (("--token", "3", "--id", "3"), ExitCode.USAGE),
        (("x", "--token", "3"), ExitCode.USAGE),
        (("--id", "99999"), ExitCode.USAGE),
        (("--file", "/nowhere/at/all"), ExitCode.NOT_FOUND),
        (("--conversation", "/nowhere/at/all"), ExitCode.NOT_FOUND),
    ],
)
def test_what_cannot_be_explained_is_told_in_one_line(
    labcli: Labcli, ref: str, words: tuple[str, ...], code: int
) -> None:
    done = labcli("tok", "explain", *words, "--tokenizer", ref)
    assert done.code == code
    assert done.out == ""
    assert done.err.startswith("labcli: error: ") and done.err.count("\n") == 1


@pytest.mark.parametrize("content", ["{", "[" * 100_000, '{"a": 1}', "[1]", '[{"role": "x"}]'])
def test_a_conversation_file_without_messages_is_refused(
    labcli: Labcli, ref: str, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "talk.json"
    path.write_text(content)
    done = labcli("tok", "explain", "--conversation", str(path), "--tokenizer", ref)
    assert done.code == ExitCode.USAGE


def test_bytes_that_are_no_text_are_told_and_replaced(
    labcli: Labcli, ref: str, tmp_path: Path
) -> None:
    path = tmp_path / "broken.txt"
    path.write_bytes(b"ab\xff\xfe")
    done = labcli("tok", "explain", "--file", str(path), "--tokenizer", ref, "--json")
    assert json.loads(done.out)["text"] == "ab\ufffd\ufffd"
    assert "not UTF-8 from byte 2" in done.err


def test_compare_shows_counts_and_where_segmentations_differ(
    labcli: Labcli, ref: str, other_ref: str
) -> None:
    words = ("tok", "compare", "words again\nzq\n", "--tokenizer", ref, "--tokenizer", other_ref)
    body = json.loads(labcli(*words, "--json").out)
    small, plain = body["tokenizers"]
    assert plain["num_tokens"] == 15 > small["num_tokens"]
    assert plain["bytes_per_token"] == 1
    assert body["overlaps"][0]["num_shared"] == 256
    first = body["differences"][0]
    for tokens in first["tokens"]:
        joined = bytes.fromhex("".join(token["bytes"] for token in tokens))
        assert joined == b"words again\nzq\n"[first["start"] : first["end"]]
    assert body["lines"][0]["line"] == 1
    assert len(body["lines"]) == 1
    shown = labcli(*words)
    assert "o|r|d|s" in shown.out
    assert "small" in shown.out and "bytes" in shown.out


def test_equal_tokenizers_cut_at_the_same_places(labcli: Labcli, ref: str) -> None:
    done = labcli("tok", "compare", "words", "--tokenizer", ref, "--tokenizer", ref)
    assert "at the same places" in done.out
    assert "small#2" in done.out


def test_compare_needs_a_text(labcli: Labcli, ref: str) -> None:
    done = labcli("tok", "compare", "", "--tokenizer", ref, "--tokenizer", ref)
    assert done.code == ExitCode.USAGE


def test_eval_measures_every_text_and_language(labcli: Labcli, ref: str, tmp_path: Path) -> None:
    corpus = tmp_path / "texts"
    corpus.mkdir()
    (corpus / "a.txt").write_text("The tokenizer learns that the same words come again.\n" * 20)
    (corpus / "picture.png").write_bytes(b"\x89PNG\x00\x00")
    words = ("tok", "eval", "--tokenizer", ref, "--alone", "--corpus", str(corpus))
    done = labcli(*words, "--json")
    assert done.code == ExitCode.OK
    body = json.loads(done.out)
    assert [text["name"] for text in body["texts"]] == [
        "corpus", "prose", "code", "maths", "chat", "scripts"
    ]  # fmt: skip
    (found,) = body["tokenizers"]
    assert found["checks"]["round_trips"] and found["checks"]["equals_tiktoken"]
    assert body["texts"][0]["num_bytes"] == 53 * 20
    assert found["compression"]["corpus"]["bytes_per_token"] > 2
    assert found["languages"][0] == found["languages"][0] | {"code": "eng", "premium": 1}
    assert len(found["languages"]) >= 30
    shown = labcli(*words).out
    assert "Burmese" in shown and "decodes to the text" in shown
    assert max(map(cells.width, shown.splitlines())) <= 100


def test_eval_takes_languages_and_goes_on_without_a_corpus(
    labcli: Labcli, ref: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[[language]]\ncode = "aaa"\nname = "A"\nscript = "S"\nparagraphs = ["the words"]\n'
        '[[language]]\ncode = "bbb"\nname = "B"\nscript = "S"\nparagraphs = ["zqzqzqzqzq"]\n'
    )
    done = labcli("tok", "eval", "--tokenizer", ref, "--alone", "--languages", str(path), "--json")
    body = json.loads(done.out)
    assert [row["code"] for row in body["tokenizers"][0]["languages"]] == ["aaa", "bbb"]
    assert body["tokenizers"][0]["languages"][1]["premium"] > 1
    assert "no corpus" in done.err
    assert body["texts"][0]["name"] == "prose"


def test_a_corpus_that_does_not_exist_is_not_found(labcli: Labcli, ref: str) -> None:
    done = labcli("tok", "eval", "--tokenizer", ref, "--alone", "--corpus", "nowhere")
    assert done.code == ExitCode.NOT_FOUND


def test_cells_count_what_a_terminal_draws() -> None:
    assert [cells.width(text) for text in ("ab", "\u4f60\u597d", "e\u0301", "\u200d")] == [
        2,
        4,
        1,
        0,
    ]
    assert cells.cut("\u4f60\u597dabc", 4) == "\u4f60~"
    assert cells.grid(("a", "b"), [("\u4f60", "x"), ("y", "zzz")]) == "a   b\n\u4f60  x\ny   zzz"


def test_endless_trees_are_cut_in_every_form(labcli: Labcli, tmp_path: Path) -> None:
    doublings = [(97, 97)] + [(255 + k, 255 + k) for k in range(1, 16)]
    chain = [(98, 98)] + [(256 + 16 + k, 98) for k in range(3000)]
    path = tmp_path / "hostile.json"
    Tokenizer([*doublings, *chain]).save(path)
    for token_id in (271, 256 + 16 + 3000):
        words = ("tok", "explain", "--id", str(token_id), "--tokenizer", str(path))
        shown = labcli(*words)
        assert len(shown.out.splitlines()) == 201
        assert "too large to show" in shown.out
        told = labcli(*words, "--json")
        assert '"cut": true' in told.out
        assert json.loads(told.out)["tree"]["id"] == token_id
        assert len(told.out) < 20_000_000

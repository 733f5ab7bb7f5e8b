"""`runs list` with a filter, columns and groups; `runs diff`, `compare`, `why` and `scaling`."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from runs.errors import ExitCode
from runs.paths import LabHome
from tests.cli.conftest import Labcli
from tests.runs.curves import falling, train

README = Path(__file__).parents[2] / "README.md"
BPBS = {step: 1 + step**-0.5 for step in range(10, 101, 10)}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> LabHome:
    """Four finished runs of growing size, and one of them again with another seed."""
    home = LabHome(tmp_path_factory.mktemp("lab"))
    for size, name in ((1, "d1"), (2, "d2"), (4, "d4"), (8, "d8")):
        bpbs = {step: bpb - 0.05 * size for step, bpb in BPBS.items()}
        settings = {"depth": size}
        train(home, name, falling(100), bpbs=bpbs, settings=settings, params=1e6 * size)
    bpbs = {step: bpb - 0.09 for step, bpb in BPBS.items()}
    settings = {"depth": 2, "seed": 43}
    train(home, "d2-again", falling(100), bpbs=bpbs, settings=settings, params=2e6, tags=("x",))
    return home


@pytest.fixture
def ask(labcli: Labcli, lab: LabHome) -> Labcli:
    """Call labcli in the lab of this module, which no test changes."""
    return lambda *words: labcli("--home", str(lab.root), *words)


def test_filter_columns_and_order_reach_every_form(ask: Labcli) -> None:
    words = ("runs", "list", "depth>=2", "not", "tag:x", "--sort", "depth", "--columns")
    rows = json.loads(ask(*words, "depth,min:loss,loss@50", "--json").out)
    assert [row["columns"]["depth"] for row in rows] == [2, 4, 8]
    assert rows[0]["columns"]["min:loss"] == pytest.approx(2.6)
    assert rows[0]["columns"]["loss@50"] == pytest.approx(2 + 6 * 50**-0.5)
    table = ask(*words, "depth,base.val_bpb", "--reverse").out.splitlines()
    assert table[0].split() == ["RUN", "STATE", "DEPTH", "BASE.VAL_BPB"]
    assert [line.split()[-2] for line in table[1:]] == ["8", "4", "2"]
    text = ask(*words, "depth", "--csv", "--limit", "1").out
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["name"], row["depth"]) == ("d2", "2.0")


def test_groups_come_with_the_spread_of_their_runs(ask: Labcli) -> None:
    words = ("runs", "list", "--group-by", "depth", "--columns", "val_bpb")
    groups = json.loads(ask(*words, "--json").out)
    assert [(group["value"], group["num_runs"]) for group in groups] == [
        (1, 1), (2, 2), (4, 1), (8, 1),
    ]  # fmt: skip
    figures = groups[1]["figures"]["val_bpb"]
    assert figures["mean"] == pytest.approx(1.005)
    assert figures["sd"] == pytest.approx(0.01 / 2**0.5)
    assert "depth=2  (2 runs)" in ask(*words).out
    assert "1.0050 +- 0.0071" in ask(*words).out
    assert ask(*words, "--csv").code == ExitCode.USAGE


def test_negated_term_may_stand_alone_on_the_command_line(ask: Labcli) -> None:
    rows = json.loads(ask("runs", "list", "-tag:x", "-depth=1", "--json").out)
    assert [row["name"] for row in rows] == ["d8", "d4", "d2"]
    assert ask("runs", "list", "name:none").out == "no run passes this filter\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("runs list dpth=1", ExitCode.USAGE, "filter, character 1: no run has 'dpth'"),
        ("runs list --sort dpth", ExitCode.USAGE, "no run has 'dpth'; closest: 'depth'"),
        ("runs list --columns a,,b", ExitCode.USAGE, "an empty name between its commas"),
        ("runs diff d1", ExitCode.USAGE, "diff takes at least 2 runs"),
        ("runs diff d1 d1", ExitCode.USAGE, "is named twice"),
        ("runs diff d1 nope", ExitCode.NOT_FOUND, "no run matches 'nope'"),
        ("runs compare d1 d2 --x day", ExitCode.USAGE, "unknown axis 'day'"),
        ("runs compare d1 d2 --x usd", ExitCode.NOT_FOUND, "name a rate with --usd-per-hour"),
        ("runs compare d1 d2 --metric lss", ExitCode.NOT_FOUND, "share no 'lss'"),
        ("runs why d1 d2 --metric val_bp", ExitCode.NOT_FOUND, "closest: 'val_bpb'"),
        ("runs why d1 d2 --stage mid", ExitCode.NOT_FOUND, "share no 'loss' in stage mid"),
        ("scaling fit --target soon", ExitCode.USAGE, "is no target"),
        ("scaling fit --target 1 --metric loss depth=1", ExitCode.NOT_FOUND, "no power law: 1"),
        ("scaling fit --target gpt2", ExitCode.NOT_FOUND, "core_metric"),
        ("scaling fit --metric loss --target val_bpb=1", ExitCode.USAGE, "give one"),
        ("scaling plot depth=99", ExitCode.NOT_FOUND, "no power law"),
    ],
)
def test_every_mistake_is_one_line_with_its_code(
    ask: Labcli, words: str, code: ExitCode, said: str
) -> None:
    result = ask(*words.split())
    assert (result.code, result.out) == (code, "")
    assert said in result.err
    assert result.err.startswith("labcli: error: ") and result.err.count("\n") == 1


def documented() -> dict[str, list[str]]:
    """Return the keys that the README promises for each command, in their order."""
    rows = re.findall(r"^\| `([a-z -]+) --json` \| (.*) \|$", README.read_text(), re.MULTILINE)
    return {command: re.findall(r"`(\w+)`", keys) for command, keys in rows}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("runs list --group-by", "runs list --group-by depth"),
        ("runs diff", "runs diff d1 d2"),
        ("runs compare", "runs compare d1 d2"),
        ("runs why", "runs why d1 d2"),
        ("scaling fit", "scaling fit --target 0.5"),
        ("scaling plot", "scaling plot"),
    ],
)
def test_documents_have_the_keys_that_the_readme_lists(
    ask: Labcli, command: str, words: str
) -> None:
    result = ask(*words.split(), "--json")
    found = json.loads(result.out)
    first = found[0] if isinstance(found, list) else found
    assert (result.code, result.err) == (0, "")
    assert list(first) == documented()[command]


def test_texts_fit_eighty_columns(ask: Labcli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in (
        "runs diff d1 d2 d4 d8",
        "runs compare d2 d4 d2-again",
        "runs why d1 d8",
        "scaling fit --target 0.5",
        "scaling plot",
    ):
        result = ask(*words.split())
        assert (result.code, result.err) == (0, ""), words
        assert max(map(len, result.out.splitlines())) <= 80, words


def test_compare_says_what_noise_explains(ask: Labcli) -> None:
    out = ask("runs", "compare", "d2", "d4", "d2-again").out
    assert "d4 reaches the final 1.0000 val_bpb of d2 at " in out
    assert "not evidence" in out
    assert "the same settings with other seeds" in out
    assert "standard deviation 0.0071 over seeds, from 1 group of 2 runs" in out


def test_compare_without_repetitions_says_what_to_run(labcli: Labcli, home: LabHome) -> None:
    for depth in (1, 2):
        train(home, f"d{depth}", falling(20), settings={"depth": depth}, argv=("run", "base"))
    out = " ".join(labcli("runs", "compare", "d1", "d2").out.split())
    assert "no noise floor" in out
    assert "labcli run base --set base.seed=43" in out


def test_run_in_progress_is_projected(labcli: Labcli, home: LabHome) -> None:
    run = train(home, "going", falling(0), is_finished=False, total=400)
    run.run_now("base")
    train(home, "done", falling(100), bpbs=BPBS, total=400)
    words = ("scaling", "fit", "--run", "done", "--target", "1.02")
    out = " ".join(labcli(*words).out.split())
    assert "no power law" in out
    assert "done: step 100, val_bpb 1.1000" in out or "done: step 100 of 400" in out
    assert "val_bpb 1.02 at step 2" in out
    (found,) = json.loads(labcli(*words, "--json").out)["runs"]
    assert found["crossing"]["step"]["value"] == pytest.approx(2500, rel=0.05)

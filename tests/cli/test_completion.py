"""Tab: commands, options, values and live runs, in the time between two key presses."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from labcli.complete import Request, cache_path, candidates, load_index, parse_line
from labcli.completion.command_index import build_index
from labcli.completion.shells import BREAKS_VARIABLE, LINE_VARIABLE, SHELL_VARIABLE
from labcli.root import COMMANDS
from runs.paths import LabHome
from tests.builders import build_finished_run
from tests.cli.conftest import Labcli

BUDGET_S = 0.15
DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def index() -> Mapping[str, object]:
    return build_index()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def offered(index: Mapping[str, object], line: str, home: LabHome | None = None) -> list[str]:
    env = {"LABCLI_HOME": str(home.root)} if home else {}
    return [item.text for item in candidates(parse_line(f"labcli {line}", env), index)]


def test_line_is_taken_apart_as_a_shell_does() -> None:
    request = parse_line("labcli runs tag 'my run' a\\ b \"c d", {})
    assert request == Request(words=("runs", "tag", "my run", "a b"), part="c d")


def test_commands_and_subcommands_are_offered(index: Mapping[str, object]) -> None:
    assert offered(index, "") == list(COMMANDS)
    assert offered(index, "runs re") == ["resume", "reap", "rename", "restore", "reindex"]


def test_options_are_offered_after_a_dash(index: Mapping[str, object]) -> None:
    assert {"--preset", "--set", "--detach"} <= set(offered(index, "run speedrun --"))
    assert offered(index, "runs rm --pu") == ["--purge"]
    assert offered(index, "track -- --h") == []


@pytest.mark.parametrize(
    "line", ["runs show ", "runs rm one ", "runs logs --stage base ", "runs tag "]
)
def test_live_runs_are_offered_by_slug_and_name(
    index: Mapping[str, object], home: LabHome, line: str
) -> None:
    run = build_finished_run(home, name="my baseline")
    assert offered(index, line, home) == ["last", run.slug, "my baseline"]


def test_run_is_offered_by_the_start_of_its_id(index: Mapping[str, object], home: LabHome) -> None:
    run = build_finished_run(home)
    assert offered(index, f"runs show {run.run_id[:4].lower()}", home) == [run.run_id]


def test_renamed_run_is_offered_by_its_new_name(
    index: Mapping[str, object], home: LabHome, labcli: Labcli
) -> None:
    build_finished_run(home, name="old")
    labcli("runs", "rename", "last", "new")
    assert offered(index, "runs show n", home) == ["new"]
    assert offered(index, "runs show o", home) == []


def test_restore_offers_what_lies_in_the_trash(
    index: Mapping[str, object], home: LabHome, labcli: Labcli
) -> None:
    run = build_finished_run(home)
    assert offered(index, "runs restore ", home) == []
    labcli("runs", "rm", "last")
    assert offered(index, "runs restore ", home) == [run.slug]


def test_runs_of_the_home_that_is_named_on_the_line_are_offered(
    index: Mapping[str, object], home: LabHome, tmp_path: Path
) -> None:
    run = build_finished_run(LabHome(tmp_path / "other"))
    line = f"--home {tmp_path / 'other'} runs show sp"
    assert offered(index, line, home) == [run.slug]


def test_references_go_on_to_stages_and_steps(index: Mapping[str, object], home: LabHome) -> None:
    run = build_finished_run(home)
    for step in (10, 20):
        run.commit("sft", step)
    assert offered(index, f"chat --model {run.slug}:", home) == [f"{run.slug}:sft"]
    assert offered(index, "chat --model last:sft@", home) == [
        "last:sft@last", "last:sft@best", "last:sft@20", "last:sft@10",
    ]  # fmt: skip


def test_stages_presets_settings_and_closed_sets_are_offered(index: Mapping[str, object]) -> None:
    assert {"auto", "cpu"} <= set(offered(index, "run speedrun --preset "))
    assert offered(index, "run base --set base.dep") == ["base.depth="]
    assert offered(index, "run sp") == ["speedrun"]
    assert offered(index, "run speedrun --until s") == ["sft"]
    assert offered(index, "runs export --format=p") == ["--format=parquet"]
    assert offered(index, "runs import --format n") == ["nanochat"]


def test_paths_are_offered_where_a_file_is_meant(
    index: Mapping[str, object], tmp_path: Path
) -> None:
    (tmp_path / "run.wandb").touch()
    (tmp_path / "runs").mkdir()
    assert offered(index, f"runs import {tmp_path}/run") == [
        f"{tmp_path}/run.wandb", f"{tmp_path}/runs/",
    ]  # fmt: skip


def test_index_is_made_once_and_again_when_a_damaged_cache_is_met(cache: Path) -> None:
    path = cache_path(os.environ)
    first = load_index(os.environ)
    assert path == cache / "labcli" / "completion.json" and path.exists()
    made_ns = path.stat().st_mtime_ns
    assert load_index(os.environ) == first and path.stat().st_mtime_ns == made_ns
    path.write_text("{")
    assert load_index(os.environ) == first and json.loads(path.read_text())["index"] == first


def ask(line: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Ask a fresh process as a shell does."""
    asked = {**os.environ, SHELL_VARIABLE: "fish", LINE_VARIABLE: line, **env}
    argv = [sys.executable, "-m", "labcli.app"]
    return subprocess.run(argv, env=asked, capture_output=True, text=True, check=False)


def test_answer_is_there_at_once_with_a_thousand_runs(home: LabHome) -> None:
    for number in range(1000):
        name = f"{number:026d}-speedrun-amber-fox-{number}"
        (home.runs_dir / name).mkdir(parents=True)
    ask("labcli runs show ")
    times = []
    for _ in range(5):
        began = os.times()
        done = ask("labcli runs show speedrun-amber-fox-99")
        ended = os.times()
        times.append(
            ended.children_user
            + ended.children_system
            - began.children_user
            - began.children_system
        )
    # Processor time and the best of five: what a busy machine adds is not the command's doing.
    assert min(times) < BUDGET_S
    assert len(done.stdout.splitlines()) == 11


def test_answer_loads_neither_typer_nor_the_registry(home: LabHome) -> None:
    load_index(os.environ)
    code = (
        "import sys\nfrom labcli.app import run_command\nrun_command([])\n"
        "print(*[n for n in ('typer', 'duckdb', 'psutil', 'torch') if n in sys.modules])"
    )
    env = {**os.environ, SHELL_VARIABLE: "fish", LINE_VARIABLE: "labcli runs show "}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == ""


def test_trouble_is_silent(home: LabHome) -> None:
    done = ask("labcli runs show ", LABCLI_HOME="/proc/version", XDG_CACHE_HOME="/proc/none")
    assert done.stderr == ""


def test_filters_are_completed_from_what_runs_hold(
    home: LabHome, index: Mapping[str, object]
) -> None:
    build_finished_run(home, name="one", tags=("keep",))
    assert {"state", "state:", "stage", "started"} <= set(offered(index, "runs list sta", home))
    assert offered(index, "runs list state=fi", home) == ["state=finished"]
    assert offered(index, "runs list state=finished tag:k", home) == ["tag:keep"]
    assert offered(index, "runs list has:val_b", home)[0] == "has:val_bpb"
    assert offered(index, "runs list --sort crea", home) == ["created"]
    assert offered(index, "runs list nothing-begins-so", home) == []


def test_bash_replaces_only_what_follows_its_last_break(home: LabHome) -> None:
    run = build_finished_run(home)
    run.commit("sft", 10)
    line = f"labcli chat --model {run.slug}:sf"
    env = {SHELL_VARIABLE: "bash", BREAKS_VARIABLE: "\"'@><=;|&(:"}
    assert ask(line, **env).stdout == "sft\n"


class Bash:
    """An interactive bash in a terminal of its own, with the completion of labcli."""

    def __init__(self, directory: Path) -> None:
        self._seen = b""
        (directory / "labcli").write_text(
            f'#!/bin/sh\nexec "{sys.executable}" -m labcli.app "$@"\n'
        )
        (directory / "labcli").chmod(0o755)
        env = {
            **os.environ,
            "PATH": f"{directory}:{os.environ['PATH']}",
            "PS1": "$ ",
            "TERM": "dumb",
        }
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], env)
        self.type('eval "$(labcli completion bash)"; echo rea""dy\n')
        self.wait_for(b"ready")

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait_for(self, text: bytes) -> None:
        end = time.monotonic() + DEADLINE_S
        while text not in self._seen:
            left = end - time.monotonic()
            assert left > 0, f"waited for {text!r}, saw {self._seen!r}"
            if select.select([self._fd], [], [], left)[0]:
                self._seen += os.read(self._fd, 65536)
        self._seen = self._seen.partition(text)[2]

    def close(self) -> None:
        os.close(self._fd)
        os.waitpid(self.pid, 0)


@pytest.fixture
def bash(home: LabHome, tmp_path: Path) -> Iterator[Bash]:
    (tmp_path / "bin").mkdir()
    shell = Bash(tmp_path / "bin")
    yield shell
    shell.close()


def test_tab_in_a_real_bash_completes_commands_runs_and_references(
    home: LabHome, bash: Bash
) -> None:
    run = build_finished_run(home, name="with space")
    run.commit("sft", 10)
    bash.type("labcli runs sho\t")
    bash.wait_for(b"show ")
    bash.type(f"{run.slug[:9]}\t")
    bash.wait_for(f"{run.slug} ".encode())
    bash.type("\x15labcli runs show with\t")
    bash.wait_for(b"with\\ space ")
    bash.type("\x15labcli chat --model last:s\t")
    bash.wait_for(b"last:sft ")
    bash.type("\x15labcli runs list state=fin\t")
    bash.wait_for(b"finished ")
    bash.type("name=wi\t")
    bash.wait_for(b"with")
    bash.type("\x15exit\n")

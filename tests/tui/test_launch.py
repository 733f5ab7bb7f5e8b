"""The launch form: drafts as command lines, their plans, and the screen as a person meets it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.config import STAGE_CONFIGS, config_hash
from core.hardware import Gpu, Hardware
from labcli.app import run_command
from runs.errors import ExitCode
from runs.paths import LabHome
from runs.record import load_record
from runs.views.query import list_runs
from tests.runs.builders import kill_everything
from tests.tui.frames import frame, lab_app, until, until_text
from tui.app import LabApp
from tui.launch.draft import OPTIONS, YES, Draft, command_line, run_words
from tui.launch.examine import Examined, examine
from tui.launch.fields import (
    Field,
    FormLine,
    Heading,
    SectionHeading,
    form_lines,
    nothing_found,
)
from tui.launch.figures import plan_figures, plan_lines
from tui.launch.sections import OTHERS, SECTIONS
from tui.screens.launch import LaunchScreen
from tui.screens.modal import ConfirmScreen, HelpScreen
from tui.shell.environment import Environment
from tui.shell.glyphs import ASCII, UNICODE, Glyphs

LAPTOP = Hardware(
    cpu="cpu", num_cpus=4, memory_bytes=2**34, gpus=(), has_cpu_bf16=False, has_compiler=True
)
TINY_DATA = {"data.num_mid": "8", "data.num_sft": "8", "data.num_test": "4"}


def examined(texts: dict[str, str], root: Path, hardware: Hardware = LAPTOP) -> Examined:
    return examine(Draft(texts=texts), LabHome(root), hardware, ())


def launch_screen(app: LabApp) -> LaunchScreen:
    return next(screen for screen in app.screen_stack if isinstance(screen, LaunchScreen))


def test_every_option_of_the_form_is_one_of_labcli_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["run", "--help"]) == ExitCode.OK
    told = capsys.readouterr().out.split()
    assert set(OPTIONS.values()) <= set(told)
    keys = {item.key for item in examined({}, tmp_path).fields if "." not in item.key}
    assert keys == {"recipe", *OPTIONS}


def test_the_shown_command_plans_what_the_form_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {
        "recipe": "speedrun", "preset": "cpu", "until": "base", "seed": "7", "name": "my run",
        "tags": "a, b", "note": "it's new", "usd_per_hour": "2.5", "max_usd": "3", "queue": YES,
        "base.depth": "6", "base.window_pattern": "SL", "base.target_param_data_ratio": "4",
    }  # fmt: skip
    words = run_words(Draft(texts=texts))
    assert run_command(["--home", str(tmp_path), "run", *words, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    plan = examined(texts, tmp_path).plan
    assert plan is not None
    here = json.loads(json.dumps(plan.to_json()))
    assert told["stages"] == here["stages"] and told["model"] == here["model"]
    line = command_line(words, None)
    assert line.startswith("labcli run speedrun --preset cpu --until base --seed 7 --name 'my run'")
    assert "--tag a --tag b" in line and line.endswith("--set base.target_param_data_ratio=4")


def test_every_setting_is_in_the_form_with_its_docs_and_its_own_text_changes_nothing(
    tmp_path: Path,
) -> None:
    known = examined({}, tmp_path)
    assert known.plan is not None
    settings = [item for item in known.fields if "." in item.key]
    assert {item.group for item in settings} == set(STAGE_CONFIGS)
    assert all(item.help and item.kind for item in known.fields)
    same = examined({item.key: item.default for item in settings}, tmp_path)
    assert same.plan is not None and not same.problems
    assert [config_hash(stage.config) for stage in same.plan.stages] == [
        config_hash(stage.config) for stage in known.plan.stages
    ]


@pytest.mark.parametrize(
    ("texts", "wrong", "told"),
    [
        ({"base.depth": "abc"}, {"base.depth"}, "takes a whole number, not 'abc'"),
        ({"base.depth": "6", "base.warmup_ratio": "2"}, {"base.warmup_ratio"}, "between 0 and 1"),
        ({"base.depth": "0", "sft.epochs": "0"}, {"base.depth", "sft.epochs"}, "above 0"),
        ({"recipe": "speedrum"}, {"recipe"}, "closest: 'speedrun'"),
        ({"preset": "gpu-80"}, {"preset"}, "closest: 'gpu-80g'"),
        ({"until": "bas"}, {"until"}, "closest: 'base'"),
        ({"recipe": "base", "only": "base"}, {"only", "from"}, "is one stage"),
        ({"recipe": "base"}, {"from"}, "needs tokenizer (from tok)"),
        ({"recipe": "base", "from": "nobody"}, {"from"}, "there are no runs"),
        ({"max_usd": "3"}, {"usd_per_hour"}, "needs a price"),
        ({"max_usd": "x", "tags": "a/b"}, {"max_usd"}, "above 0"),
        ({"name": "a:b", "nproc": "0", "priority": "high"}, {"name", "nproc", "priority"}, "name"),
        ({"on_stall": "restart"}, {"on_stall"}, "--retries"),
    ],
)
def test_the_row_that_is_to_blame_is_named_with_what_is_wrong(
    tmp_path: Path, texts: dict[str, str], wrong: set[str], told: str
) -> None:
    known = examined(texts, tmp_path)
    assert set(known.problems) == wrong
    assert any(told in text for text in known.problems.values())
    assert not known.is_startable
    assert all("\n" not in text for text in known.problems.values())


def rows_of(group: str, lines: Sequence[FormLine]) -> list[Field]:
    return [line for line in lines if isinstance(line, Field) and line.group == group]


def test_settings_of_training_stand_in_sections_and_depth_comes_first(tmp_path: Path) -> None:
    lines = form_lines(examined({}, tmp_path).fields, "")
    at = next(
        n for n, line in enumerate(lines) if isinstance(line, Heading) and line.name == "base"
    )
    first = lines[at + 2]
    assert isinstance(first, Field) and first.key == "base.depth"
    base, sections = rows_of("base", lines), list(SECTIONS)
    assert list(dict.fromkeys(row.section for row in base)) == sections
    headings = [line.name for line in lines[at:] if isinstance(line, SectionHeading)]
    assert headings[: len(sections)] == sections
    assert OTHERS not in {row.section for stage in ("base", "mid") for row in rows_of(stage, lines)}


def test_a_row_says_every_word_that_it_takes_beside_a_number(tmp_path: Path) -> None:
    kinds = {item.key: item.kind for item in examined({}, tmp_path).fields}
    assert kinds["base.device_batch_size"] == "a whole number, or auto"
    assert kinds["base.grad_clip"] == "a number, or none"


def test_rows_are_found_by_name_then_by_purpose_and_a_typo_names_the_closest(
    tmp_path: Path,
) -> None:
    rows = examined({"base.depth": "5"}, tmp_path).fields

    def found(wanted: str, changed: frozenset[str] | None = None) -> list[str]:
        lines = form_lines(rows, wanted, changed=changed)
        return [line.key for line in lines if isinstance(line, Field)]

    assert found("base depth") == ["base.depth"]
    assert "base.matrix_lr" in found("matrices")
    assert found("", frozenset({"base.depth"})) == ["base.depth"]
    assert found("dpeth") == []
    assert "closest: 'depth'" in nothing_found(rows, "dpeth")


def test_figures_say_how_they_are_known_and_what_this_machine_cannot_hold(tmp_path: Path) -> None:
    small = Hardware(
        cpu="cpu", num_cpus=1, memory_bytes=2**20, gpus=(), has_cpu_bf16=False, has_compiler=True
    )
    by_name = {item.name: item for item in plan_figures(examined({}, tmp_path, small))}
    assert by_name["memory"].is_over and not by_name["disk"].is_over
    assert "1 CPU cores of 50 GFLOP/s" in by_name["time"].source
    assert by_name["cost"].value == "not known"
    eight = Hardware(
        cpu="cpu", num_cpus=64, memory_bytes=2**40, has_cpu_bf16=True, has_compiler=True,
        gpus=(Gpu(name="NVIDIA H100 80GB HBM3", memory_bytes=80 * 2**30),) * 8,
    )  # fmt: skip
    known = examined({"max_usd": "1"}, tmp_path, eight)
    rich = {item.name: item for item in plan_figures(known)}
    assert "8 x NVIDIA H100" in rich["time"].source and "48%" in rich["time"].source
    assert rich["cost"].is_over and "$24.00 an hour" in rich["cost"].source
    for width in (30, 90):
        lines = plan_lines(known, width, UNICODE)
        assert max(len(line.text) for line in lines) <= width
        words = " ".join(word for line in lines for word in line.text.split())
        assert "of the vendor's peak" in words and "too much" in words


async def opened(app: LabApp, root: Path, glyphs: Glyphs = UNICODE) -> list[Path | None]:
    """Push the form over the app; the list gets its result."""
    results: list[Path | None] = []
    environment = Environment(glyphs=glyphs, frames_per_s=50.0)
    screen = LaunchScreen(home=LabHome(root), environment=environment, clock=lambda: 0.0)
    await app.push_screen(screen, results.append)
    return results


async def test_a_run_is_filled_in_refused_mended_and_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCLI_HOME", str(tmp_path / "elsewhere"))
    app = lab_app(tmp_path)
    try:
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            results = await opened(app, tmp_path)
            screen = launch_screen(app)
            await until(pilot, lambda: screen.is_settled)
            await until_text(pilot, app, "current d4, 7.34 M")
            await pilot.press("ctrl+t", *"dpeth")
            await until_text(pilot, app, "closest: 'depth'")
            await pilot.press("escape", "ctrl+t", *"num_mid", "enter", *"many")
            await until_text(pilot, app, "data.num_mid takes a whole number, not 'many'")
            await until(pilot, lambda: screen.is_settled)
            await pilot.press("ctrl+s")
            await until_text(pilot, app, "not started: data.num_mid")
            assert list_runs(LabHome(tmp_path)) == []
            await pilot.press("ctrl+r", "escape")
            for key, text in {"recipe": "data", "name": "first try", "tags": "form"}.items():
                await pilot.press("ctrl+t", *f"{key}={text}", "enter")
            for key, text in TINY_DATA.items():
                await until_text(pilot, app, "data, preset cpu")
                await pilot.press("ctrl+t", *f"{key}={text}", "enter")
            await until(pilot, lambda: screen.is_settled)
            assert "run data --name 'first try' --tag form" in str(screen.command.content)
            await pilot.press("ctrl+g")
            await until_text(pilot, app, "changed rows alone")
            await pilot.press("ctrl+s")
            await until_text(pilot, app, "Starting ...")
            await until(pilot, lambda: bool(results))
            (run,) = list_runs(LabHome(tmp_path))
            assert results == [run.path]
            assert (run.name, run.tags) == ("first try", ("form",))
            (stage,) = load_record(run.path).stages
            assert stage.config["num_mid"] == 8
    finally:
        kill_everything(LabHome(tmp_path))


async def test_arrows_turn_through_choices_and_what_the_command_says_is_shown_in_place(
    tmp_path: Path,
) -> None:
    app = lab_app(tmp_path / "lab", glyphs=ASCII)
    async with app.run_test(size=(200, 50), notifications=True) as pilot:
        results = await opened(app, tmp_path / "lab", ASCII)
        screen = launch_screen(app)
        await until(pilot, lambda: screen.is_settled)
        await pilot.press("down", "right")
        await until(pilot, lambda: screen.value.value == "cpu")
        await pilot.press("left", "ctrl+down", "ctrl+down", "down")
        await until(pilot, lambda: screen.value.is_at == "tok.vocab_size")
        await pilot.press("ctrl+up")
        await until(pilot, lambda: screen.value.is_at == "tok.seed")
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await until_text(pilot, app, "Start the run.")
        await pilot.press("escape")
        ours = [item.binding for item in screen.active_bindings.values() if item.binding.id]
        assert all(binding.description and binding.tooltip for binding in ours)
        helps = {command.help for command in app.get_system_commands(app.screen)}
        assert {"Key: ctrl+s", "Key: ctrl+y", "Key: escape"} <= helps
        # The command finds what the form does not look for: a file where the runs should lie.
        (tmp_path / "lab").mkdir(exist_ok=True)
        (tmp_path / "lab" / "runs").write_text("in the way")
        await until(pilot, lambda: screen.is_settled)
        await pilot.press("ctrl+s")
        await until_text(pilot, app, "not started: cannot create a run in")
        assert "\n".join(frame(app)).isascii()
        await pilot.press("ctrl+t", *"base.depth=6", "enter", "escape")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await until_text(pilot, app, "1 change would be forgotten")
        await pilot.press("enter")
        await until(pilot, lambda: results == [None])

"""The stage itself: what it leaves behind, stopped or not, and with several checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from core.experiments.selfchat.archive import load_experiment
from core.experiments.selfchat.journal import TurnJournal
from core.experiments.selfchat.script import Cast, Script, dump_script
from core.settings.experiments import SelfchatConfig
from core.stages.context import Input, StageContext
from core.stages.selfchat import run
from runs.errors import Corrupt, UsageError
from runs.events import End, Eval, Event, Turn
from runs.files import read_json
from tests.engine.builders import TOKENIZER, random_model, save_checkpoint, tiny_config
from tests.selfchat.builders import CAST, config

PAIR = Cast(key_a="a", key_b="b", name_a="m", name_b="n")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The checkpoints of two models, by the key of their input."""
    root = tmp_path_factory.mktemp("models")
    return {
        key: save_checkpoint(root / key, random_model(tiny_config(), seed), TOKENIZER, "sft")
        for seed, key in enumerate("ab")
    }


@pytest.fixture(autouse=True)
def keep_threads() -> Iterator[None]:
    """Give torch back the threads that the stage, alone in its process, leaves unused."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def context(root: Path, models: Mapping[str, Path], *casts: Cast) -> StageContext:
    """Return the context of a self-chat about two topics."""
    artifacts = root / "artifacts" / "selfchat"
    artifacts.mkdir(parents=True)
    script = artifacts / "script.json"
    script.write_bytes(dump_script(Script(casts=casts, topics=("cats", "dogs"))))
    tokenizer = root / "tokenizer.json"
    inputs = {"script": Input(path=script, sha256="")}
    for key, path in models.items():
        inputs[f"checkpoint:{key}"] = Input(path=path, sha256="")
        inputs[f"tokenizer:{key}"] = Input(path=tokenizer, sha256=TOKENIZER.save(tokenizer))
    return StageContext(
        stage="selfchat", run_dir=root, artifacts_dir=artifacts, checkpoints_dir=root / "none",
        data_dir=root / "data", inputs=inputs,
    )  # fmt: skip


def events_of(
    settings: SelfchatConfig, ctx: StageContext, stop: Callable[[], bool] = lambda: False
) -> list[Event]:
    """Return everything that the stage says."""
    return list(run(settings, ctx, stop=stop, resume=None))


def files_of(ctx: StageContext) -> dict[str, bytes]:
    """Return what depends on the settings alone."""
    names = ("transcripts.jsonl", "experiment.json", "tokens.parquet", "summary.json")
    return {name: (ctx.artifacts_dir / name).read_bytes() for name in names}


def test_a_stopped_selfchat_ends_as_one_that_was_not(
    tmp_path: Path, models: Mapping[str, Path]
) -> None:
    settings = config(turns=4, num_seeds=2, temperatures=(0.7, 1.3))
    whole, cut = (context(tmp_path / name, models, CAST) for name in ("whole", "cut"))
    events_of(settings, whole)
    first: list[Event] = []
    for event in run(
        settings, cut, resume=None, stop=lambda: sum(isinstance(e, Turn) for e in first) >= 5
    ):
        first.append(event)
    assert first[-1] == End(reason="stopped")
    assert 5 <= sum(isinstance(event, Turn) for event in first) < 32
    second = events_of(settings, cut)
    assert not any(isinstance(event, End) for event in second)
    told = [event for event in (*first, *second) if isinstance(event, Turn)]
    assert len(told) == 32
    assert files_of(cut) == files_of(whole)


def test_a_row_per_token_and_a_mean_per_setting(tmp_path: Path, models: Mapping[str, Path]) -> None:
    ctx = context(tmp_path, models, PAIR)
    settings = config(turns=2, temperatures=(0.7, 1.3))
    events = events_of(settings, ctx)
    experiment = load_experiment(ctx.artifacts_dir)
    turns = [turn for one in experiment.conversations for turn in one.turns]
    table = pq.read_table(ctx.artifacts_dir / "tokens.parquet")
    assert len(turns) == 8 and table.num_rows == sum(len(turn.tokens.ids) for turn in turns)
    assert table.column("entropy_nats").to_pylist()[:3] == pytest.approx(
        turns[0].tokens.entropy_nats[:3]
    )
    assert None not in table.column("other_surprisal_nats").to_pylist()
    assert {len(turn.embedding or ()) for turn in turns} == {tiny_config().n_embd}
    rows = read_json(ctx.artifacts_dir / "summary.json")["settings"]
    known = {one.name: one for one in map(_only_results, events) if one is not None}
    for row in rows:
        told = known[row["name"]].means["entropy_bits"]
        assert told == pytest.approx(row["metrics"]["entropy_bits"]["mean"])
    page = (ctx.artifacts_dir / "report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")


class _Told:
    def __init__(self, name: str, means: Mapping[str, float]) -> None:
        self.name, self.means = name, means


def _only_results(event: Event) -> _Told | None:
    if not isinstance(event, Eval) or event.results is None:
        return None
    ((name, means),) = event.results.items()
    return _Told(name, means)


def test_a_timeline_talks_at_each_checkpoint_and_keeps_its_step(
    tmp_path: Path, models: Mapping[str, Path]
) -> None:
    casts = [
        Cast(key_a=key, key_b=key, name_a=f"m@{step}", name_b=f"m@{step}", stage="sft", step=step)
        for key, step in (("a", 10), ("b", 20))
    ]
    ctx = context(tmp_path, models, *casts)
    events_of(config(turns=1), ctx)
    experiment = load_experiment(ctx.artifacts_dir)
    assert [one.label for one in experiment.settings] == ["sft@10 T=1 k=50", "sft@20 T=1 k=50"]
    first, second = (experiment.of_setting(index)[0].turns[0] for index in (0, 1))
    assert first.tokens.entropy_nats != second.tokens.entropy_nats
    rows = read_json(ctx.artifacts_dir / "summary.json")["settings"]
    assert [(row["stage"], row["step"]) for row in rows] == [("sft", 10), ("sft", 20)]


def test_time_that_is_up_ends_every_conversation(
    tmp_path: Path, models: Mapping[str, Path]
) -> None:
    ctx = context(tmp_path, models, CAST)
    events_of(config(max_minutes=1e-9), ctx)
    experiment = load_experiment(ctx.artifacts_dir)
    assert {one.end for one in experiment.conversations} == {"budget"}


def test_a_checkpoint_with_another_tokenizer_is_refused(
    tmp_path: Path, models: Mapping[str, Path]
) -> None:
    ctx = context(tmp_path, models, CAST)
    ctx.input("tokenizer:a").path.write_bytes(
        ctx.input("tokenizer:a").path.read_bytes().replace(b'"trained_on":{}', b'"trained_on":{ }')
    )
    with pytest.raises(UsageError, match="another tokenizer"):
        events_of(config(), ctx)


def test_a_line_cut_off_by_a_kill_is_taken_again(
    tmp_path: Path, models: Mapping[str, Path]
) -> None:
    settings: dict[str, Any] = {"turns": 2}
    ctx = context(tmp_path, models, CAST)
    events_of(config(**settings), ctx)
    before, path = files_of(ctx), ctx.artifacts_dir / "turns.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    with TurnJournal(path) as journal:
        assert len(journal.turns) == 3 and journal.elapsed_s > 0
    events_of(config(**settings), ctx)
    assert files_of(ctx) == before


def test_a_journal_with_a_broken_line_inside_is_refused(
    tmp_path: Path, models: Mapping[str, Path]
) -> None:
    ctx = context(tmp_path, models, CAST)
    events_of(config(turns=2), ctx)
    path = ctx.artifacts_dir / "turns.jsonl"
    path.write_bytes(b"{}\n" + path.read_bytes())
    with pytest.raises(Corrupt, match="line 1"):
        events_of(config(turns=2), ctx)

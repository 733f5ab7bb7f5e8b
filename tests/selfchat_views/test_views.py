"""What a terminal shows of a self-chat."""

from __future__ import annotations

import io
import re
import unicodedata
from dataclasses import replace

import pytest

from core.experiments.measures.summary import Summary, summarise
from core.experiments.report.figures import metric_names, metric_title, with_interval
from core.experiments.report.page import render_page
from core.experiments.selfchat.transcript import Experiment
from labcli.selfchat.conversation import render_conversation
from labcli.selfchat.look import Look, look_of
from labcli.selfchat.views import render_experiment
from runs.errors import NotFound
from tests.selfchat_views.builders import make_experiment, make_tokenizer, make_trace
from tui.shell.glyphs import ASCII, UNICODE

HOSTILE = "\u6f22\u5b57 \x1b[2J\x1b]0;owned\x07 \u202eabc \u200b \ud800 wide " + "\uff37" * 60
STYLE = re.compile(r"\x1b\[[0-9;]*m")


def look(width: int = 80, *, is_styled: bool = False) -> Look:
    return Look(width=width, glyphs=UNICODE, is_styled=is_styled)


def cells(line: str) -> int:
    """Return the width of a line as a terminal counts it, apart from the product's own count."""
    shown = STYLE.sub("", line)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in shown)
    return len(shown) + wide - sum(unicodedata.combining(char) > 0 for char in shown)


def test_every_metric_appears_with_its_interval(experiment: Experiment, summary: Summary) -> None:
    text = render_experiment(experiment, summary, look(200))
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    in_other_units = {"entropy_nats", "median_entropy_nats"}
    for name in set(metric_names(summary)) - in_other_units:
        for setting in summary.settings:
            found = setting.metrics[name]
            assert with_interval(found) in rows[metric_title(name)]
    assert "entropy (bits/token)" in rows


def test_verdicts_come_before_figures(experiment: Experiment, summary: Summary) -> None:
    text = render_experiment(experiment, summary, look(400))
    assert text.index(summary.verdict[1:]) < text.index("entropy (bits/token)")
    for setting in summary.settings:
        assert setting.verdict[1:] in text


def test_comparisons_come_with_p_and_a_verdict() -> None:
    experiment = make_experiment(temperatures=(0.5, 1.5), num_conversations=10, num_turns=2)
    summary = summarise(experiment)
    text = render_experiment(experiment, summary, look())
    first = next(one for one in summary.comparisons if one.metric == "entropy_bits")
    row = next(line for line in text.splitlines() if line.startswith("  entropy (bits/token)"))
    assert first.p < 0.05
    assert f"p {first.p:.3f}  lower" in row


def test_conversations_are_listed_with_setting_seed_turns_and_end(
    experiment: Experiment, summary: Summary
) -> None:
    lines = render_experiment(experiment, summary, look()).splitlines()
    for one in experiment.conversations:
        name = summary.settings[one.setting].name
        pattern = rf"\s*{one.number}  {re.escape(name)}\s+{one.seed}\s+6  {one.end}\s.*the sea"
        assert [line for line in lines if re.match(pattern, line)]


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("is_styled", [True, False], ids=["styled", "plain"])
def test_no_line_is_wider_than_the_terminal(width: int, is_styled: bool) -> None:
    experiment = make_experiment(
        temperatures=(0.7, 1.3), num_conversations=2, num_turns=2, topic=HOSTILE, texts=[HOSTILE]
    )
    named = tuple(replace(one, model_b="other-" + "\u6f22" * 40) for one in experiment.settings)
    experiment = replace(experiment, settings=named)
    summary = summarise(experiment)
    wanted = look(width, is_styled=is_styled)
    for text in (
        render_experiment(experiment, summary, wanted),
        render_conversation(experiment, summary, 1, wanted, make_tokenizer()),
        render_conversation(experiment, summary, 1, wanted),
    ):
        assert max(map(cells, text.split("\n"))) <= width


def test_nothing_a_model_wrote_steers_the_terminal() -> None:
    experiment = make_experiment(
        temperatures=(1.0,), num_conversations=1, num_turns=2, topic=HOSTILE, texts=[HOSTILE]
    )
    summary = summarise(experiment)
    for text in (
        render_experiment(experiment, summary, look()),
        render_conversation(experiment, summary, 0, look(), make_tokenizer()),
        render_conversation(experiment, summary, 0, look()),
    ):
        assert all(char.isprintable() or char == "\n" for char in text)


def test_a_wide_terminal_shows_all_settings_side_by_side(
    experiment: Experiment, summary: Summary
) -> None:
    text = render_experiment(experiment, summary, look(200))
    assert any(all(one.name in line for one in summary.settings) for line in text.splitlines())
    assert len(text.splitlines()) < len(
        render_experiment(experiment, summary, look(80)).splitlines()
    )


def test_a_conversation_is_shown_with_speakers_strips_and_figures(
    experiment: Experiment, summary: Summary
) -> None:
    text = render_conversation(experiment, summary, 2, look(), make_tokenizer())
    one = experiment.conversations[2]
    for turn in one.turns:
        assert turn.text in text
        assert f"turn {turn.index + 1}, {len(turn.tokens.ids)} tokens, " in text
    assert text.count("\nA ") == text.count("\nB ") == 3
    strips = [line for line in text.splitlines() if set(line.strip()) <= {*UNICODE.ramp} - {" "}]
    wanted = [len(turn.tokens.ids) for turn in one.turns]
    assert [len(line.strip()) for line in strips if line.strip()] == wanted


def test_a_conversation_can_be_drawn_in_ascii(experiment: Experiment, summary: Summary) -> None:
    plain = Look(width=80, glyphs=ASCII, is_styled=False)
    assert render_conversation(experiment, summary, 0, plain).isascii()
    assert render_experiment(experiment, summary, plain).isascii()


def test_text_is_the_same_with_and_without_colours(
    experiment: Experiment, summary: Summary
) -> None:
    coloured = render_conversation(experiment, summary, 0, look(is_styled=True), make_tokenizer())
    without = render_conversation(experiment, summary, 0, look(), make_tokenizer())
    kept = [line for line in STYLE.sub("", coloured).splitlines() if "under 1 bit" not in line]
    assert "\x1b[38;5;" in coloured
    assert kept == without.splitlines()


def test_an_unknown_conversation_is_named_with_those_that_exist(
    experiment: Experiment, summary: Summary
) -> None:
    with pytest.raises(NotFound, match="no conversation 99; they go from 0 to 11"):
        render_conversation(experiment, summary, 99, look())


def test_a_turn_whose_tokens_a_tool_wrote_is_shown(experiment: Experiment) -> None:
    first = experiment.conversations[0]
    trace = make_trace([1.0, 2.0], forced=[0, 1])
    turn = replace(first.turns[0], text="42", tokens=trace)
    held = replace(experiment, conversations=(replace(first, turns=(turn,)),))
    assert "42" in render_conversation(held, summarise(held), 0, look())


def test_an_experiment_that_has_not_begun_is_shown() -> None:
    experiment = make_experiment(temperatures=(1.0,), num_conversations=2, num_turns=0)
    text = render_experiment(experiment, summarise(experiment), look())
    assert "No conversation yet" in text


def test_long_names_of_settings_stay_apart() -> None:
    experiment = make_experiment(temperatures=(0.7, 0.7), num_conversations=1)
    first, second = experiment.settings
    model = "speedrun-with-a-rather-long-name:sft@95"
    settings = (replace(first, model_a=model, model_b=model), replace(second, model_a=model))
    experiment = replace(experiment, settings=settings)
    summary = summarise(experiment)
    lines = render_experiment(experiment, summary, look(200)).splitlines()
    for number, one in enumerate(summary.settings):
        assert f"#{number} T=0.7 k=50: {one.name}" in lines
        assert [line for line in lines if line.startswith(f"{number}  #{number} T=0.7 k=50 ")]
    page = render_page(experiment, summary, None)
    assert page.count(">#1 T=0.7 k=50</text>") == 4


def test_a_pipe_gets_no_styles() -> None:
    assert not look_of(io.StringIO()).is_styled

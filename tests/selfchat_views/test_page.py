"""The HTML report: whole, alone, and unmoved by what models write."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from core.experiments.measures.summary import Summary, summarise
from core.experiments.report import spoken
from core.experiments.report.figures import definition, metric_names, metric_title, with_interval
from core.experiments.report.markup import shown, tag
from core.experiments.report.page import render_page
from core.experiments.report.pieces import pieces_of
from core.experiments.report.svg import axis_over
from core.experiments.selfchat.transcript import Experiment
from tests.selfchat_views.builders import make_experiment, make_tokenizer, make_trace
from tests.serve.page.builders import PHONE, launched, new_page

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\" ' & \u202eabc\x00\x1b]0;x\x07"
)
VOID = {"meta", "br", "line", "rect", "circle", "path"}


class Reader(HTMLParser):
    """Checks that elements nest, and keeps what they are."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def html(experiment: Experiment, summary: Summary) -> str:
    return render_page(experiment, summary, make_tokenizer(), run_id="01RUN")


def test_the_page_is_well_formed_and_says_what_was_found(html: str, summary: Summary) -> None:
    text = " ".join("".join(read(html).text).split())
    assert summary.verdict[1:] in text
    for name in metric_names(summary):
        assert f"{metric_title(name)}{definition(name)}" in text
        for one in summary.settings:
            assert with_interval(one.metrics[name]) in text


def test_the_page_needs_nothing_from_elsewhere(html: str) -> None:
    reader = read(html)
    assert not re.search(r"https?://|url\(|@import", html)
    assert not {"link", "img", "iframe", "object"} & set(reader.elements)
    assert not {"src", "href", "style"} & {name for name, _ in reader.attributes}
    assert reader.elements["script"] == reader.elements["style"] == 1


def test_every_plot_is_there_and_told_in_words(html: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) == 4
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.attrib["role"] == "img"
        assert "T=0.6" in root.attrib["aria-label"]


def test_many_settings_get_a_small_plot_each() -> None:
    temperatures = (0.4, 0.6, 0.8, 1.0, 1.2)
    experiment = make_experiment(temperatures=temperatures, num_conversations=2, num_turns=2)
    page = render_page(experiment, summarise(experiment), None)
    assert len(re.findall("<svg", page)) == len(temperatures) + 3


def test_tables_have_headers_for_rows_and_columns(html: str) -> None:
    for table in re.findall(r"<table.*?</table>", html, flags=re.DOTALL):
        heads = table.count('scope="col"')
        for row in re.findall(r"<tr>.*?</tr>", table.split("<tbody>")[1]):
            assert row.count('scope="row"') == 1
            assert row.count("<td") == heads - 1


def test_each_token_tells_its_figures(experiment: Experiment, html: str) -> None:
    titles = [value for name, value in read(html).attributes if name == "title"]
    told = [title for title in titles if "surprisal" in title and title.startswith('"')]
    num_tokens = sum(len(t.tokens.ids) for one in experiment.conversations for t in one.turns)
    assert len(told) == num_tokens
    pattern = (
        r'".+": entropy \d+\.\d\d bits, surprisal \d+\.\d\d bits, rank \d+; likeliest ".*" 50 %'
    )
    assert all(re.match(pattern, title) for title in told)


@pytest.mark.parametrize("has_tokens", [True, False], ids=["tokens", "text"])
def test_hostile_text_is_shown_and_not_obeyed(has_tokens: bool) -> None:
    experiment = make_experiment(
        temperatures=(1.0,), num_conversations=1, num_turns=2, topic=HOSTILE, texts=[HOSTILE]
    )
    model = replace(experiment.settings[0], model_a=HOSTILE)
    experiment = replace(experiment, settings=(model,))
    tokenizer = make_tokenizer() if has_tokens else None
    page = render_page(experiment, summarise(experiment), tokenizer, run_id=HOSTILE)
    reader = read(page)
    assert reader.elements["script"] == 1
    assert reader.elements["img"] == 0
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert "".join(reader.text).count(shown(HOSTILE)) >= 4
    assert all(char.isprintable() or char == "\n" for char in page)


def test_the_page_is_bounded_and_says_what_it_leaves_out(
    monkeypatch: pytest.MonkeyPatch, experiment: Experiment, summary: Summary
) -> None:
    monkeypatch.setattr(spoken, "MAX_CONVERSATIONS", 4)
    page = render_page(experiment, summary, make_tokenizer())
    assert page.count("<details") == 4
    assert "4 of 12 conversations" in page
    # Settings in turn, so that each is there.
    assert [one.number for one in spoken.choose(experiment)] == [0, 4, 8, 1]
    monkeypatch.setattr(spoken, "MAX_TOKENS", 600)
    chosen = spoken.choose(experiment)
    assert 0 < sum(len(t.tokens.ids) for one in chosen for t in one.turns) <= 600


def test_a_character_of_several_tokens_comes_with_the_last() -> None:
    tokenizer = make_tokenizer()
    ids = [*tokenizer.encode("a\u6d77!"), tokenizer.bos]
    assert pieces_of(ids, tokenizer) == ("a", "", "", "\u6d77", "!", "<|bos|>")
    assert pieces_of(tokenizer.encode("\u6d77")[:2], tokenizer) == ("", "\ufffd")
    assert pieces_of([], tokenizer) == ()


def test_tokens_of_a_tool_are_marked(experiment: Experiment) -> None:
    first = experiment.conversations[0]
    trace = make_trace([1.0, 2.0], ids=[97, 98], forced=[1])
    turn = replace(first.turns[0], text="ab", tokens=trace)
    held = replace(experiment, conversations=(replace(first, turns=(turn,)),))
    page = render_page(held, summarise(held), make_tokenizer())
    assert '<span class="forced" title="&quot;b&quot;: written by a tool, not chosen">b' in page


def test_only_markup_goes_in_as_it_is() -> None:
    assert tag("p", "<b>", tag("i", "x"), title='"') == '<p title="&quot;">&lt;b&gt;<i>x</i></p>'


@pytest.mark.parametrize("values", [[], [2.0], [0.0], [-1e-9, 1e-9], [float("nan"), 3.0]])
def test_axes_of_odd_values_have_a_range(values: list[float]) -> None:
    axis = axis_over(values, 0, 100)
    assert axis.low < axis.high
    assert len(axis.ticks) >= 2


def test_an_experiment_that_has_not_begun_has_a_page() -> None:
    experiment = make_experiment(temperatures=(1.0,), num_conversations=2, num_turns=0)
    read(render_page(experiment, summarise(experiment), make_tokenizer()))


def test_a_browser_shows_the_page_without_complaint_on_a_phone(html: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(html, encoding="utf-8")
    with launched() as browser, new_page(browser, PHONE) as (page, problems):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        page.locator(".said span[title]").first.click()
        assert "entropy" in page.locator("#told").inner_text()
        assert problems == []

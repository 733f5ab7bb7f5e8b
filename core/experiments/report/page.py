"""The report of a self-chat as one HTML file without outside assets. Torch-free.

Everything is in the file: style, drawings, figures and some of the conversations. It works without
its script. What a browser may load or run is named in the file, and that is nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from core.experiments.measures.comparison import Comparison
from core.experiments.measures.summary import Summary
from core.experiments.report.figures import (
    compared,
    definition,
    estimate_of,
    metric_names,
    metric_title,
    p_text,
    sentence,
    short_names,
    verdicts,
    what_was_run,
    with_interval,
)
from core.experiments.report.markup import Markup, join, tag
from core.experiments.report.plots import MAX_LABEL, Place, bars, by_turn, scatter, spread
from core.experiments.report.plotted import curves_of, entropy_spreads
from core.experiments.report.spoken import transcripts
from core.experiments.selfchat.transcript import Experiment
from core.tokenizer import Tokenizer
from runs.statistics import Estimate

HERE = Path(__file__).parent
ENTROPY, DIVERSITY, LOOPS = "entropy_bits", "mtld", "has_loop"


def render_page(
    experiment: Experiment, summary: Summary, tokenizer: Tokenizer | None, *, run_id: str = ""
) -> str:
    """Return the whole page; without a tokenizer, turns are shown without their tokens."""
    body = tag(
        "body",
        tag("h1", "Self-chat"),
        tag("p", what_was_run(experiment)),
        tag("p", "Run ", tag("code", run_id), class_="fine") if run_id else Markup(),
        _section("Verdicts", _verdicts(summary)),
        _section("Settings", _settings(summary)),
        _section("Plots", _plots(experiment, summary)),
        _section("Conversations", transcripts(experiment, summary, tokenizer)),
        _section("All comparisons", _comparisons(summary)),
        _section("What the figures mean", _definitions(summary)),
        tag("p", id="told", role="status"),
        tag("script", Markup(_read("page.js"))),
    )
    page = tag("html", _head(run_id), body, lang="en")
    return f"<!doctype html>\n{page}\n"


def _head(run_id: str) -> Markup:
    style, script = _read("page.css"), _read("page.js")
    policy = (
        f"default-src 'none'; style-src {_hash_of(style)}; script-src {_hash_of(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}"/>'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"Self-chat {run_id}".strip()),
        tag("style", Markup(style)),
    )


def _section(title: str, *parts: Markup) -> Markup:
    return tag("section", tag("h2", title), *parts) if any(parts) else Markup()


def _verdicts(summary: Summary) -> Markup:
    told = verdicts(summary)
    return tag("ul", *(tag("li", one) for one in told), class_="verdicts")


def _settings(summary: Summary) -> Markup:
    names = ["Metric", *(one.name for one in summary.settings)]
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    rows = [
        tag(
            "tr",
            tag("th", metric_title(metric), scope="row", title=definition(metric) or None),
            *(_estimate_cell(one.metrics.get(metric)) for one in summary.settings),
        )
        for metric in metric_names(summary)
    ]
    note = "Means over conversations, with 95% intervals in brackets."
    table = tag("table", tag("thead", head), tag("tbody", *rows), aria_label="Settings")
    keys = [
        tag("li", f"{short}: {one.name}")
        for one in summary.settings
        if (short := short_names(summary, MAX_LABEL)[one.setting.index]) != one.name
    ]
    key = tag("ul", *keys, class_="fine") if keys else Markup()
    return join([tag("p", note, class_="fine"), key, _scrolling(table, "Settings")])


def _estimate_cell(estimate: Estimate | None) -> Markup:
    mean, _, interval = with_interval(estimate).partition(" ")
    return (
        tag("td", mean, " ", tag("span", interval, class_="range")) if interval else tag("td", mean)
    )


def _comparisons(summary: Summary) -> Markup:
    if not summary.comparisons:
        return Markup()
    titles = ("a and b", "Metric", "a minus b", "p", "Verdict")
    head = tag("tr", *(tag("th", title, scope="col") for title in titles))
    rows = map(_comparison, summary.comparisons)
    table = tag("table", tag("thead", head), tag("tbody", *rows), aria_label="Comparisons")
    note = "p is corrected for all comparisons together (Holm); an interval is of its own alone."
    return join([tag("p", note, class_="fine"), _scrolling(table, "Comparisons")])


def _comparison(one: Comparison) -> Markup:
    return tag(
        "tr",
        tag("th", compared(one), scope="row"),
        tag("td", metric_title(one.metric), class_="words"),
        _estimate_cell(estimate_of(one.difference)),
        tag("td", p_text(one.p)),
        tag("td", sentence(one.verdict), class_="words"),
    )


def _scrolling(table: Markup, name: str) -> Markup:
    # A region that scrolls must be reachable by keys.
    return tag("div", table, class_="wide", role="region", aria_label=name, tabindex=0)


def _plots(experiment: Experiment, summary: Summary) -> Markup:
    names = short_names(summary, MAX_LABEL)
    curves = by_turn(curves_of(summary, ENTROPY), "entropy, bits per token")
    places = [
        Place(name=names[one.setting.index], x=x, y=y)
        for one in summary.settings
        if (x := one.metrics.get(ENTROPY)) and (y := one.metrics.get(DIVERSITY))
    ]
    shares = [
        (names[one.setting.index], at) for one in summary.settings if (at := one.metrics.get(LOOPS))
    ]
    plots = [
        _figure(
            "Entropy by turn",
            "Mean over the conversations that came to a turn; the band is its 95% interval.",
            curves,
        ),
        _figure(
            "Diversity and entropy",
            "A mark is one setting; the lines are 95% intervals.",
            scatter(places, "entropy, bits per token", "variety of words (MTLD)"),
        ),
        _figure(
            "Entropy of conversations",
            "A dot is one conversation; below, the setting's mean with its 95% interval.",
            spread(entropy_spreads(experiment, summary), "entropy, bits per token"),
        ),
        _figure(
            "Loops",
            "Share of the conversations that go in circles.",
            bars(shares, "share with a loop", top=1.0),
        ),
    ]
    return tag("div", *plots, class_="plots")


def _figure(title: str, note: str, drawings: list[Markup]) -> Markup:
    if not drawings:
        return Markup()
    shown = drawings[0] if len(drawings) == 1 else tag("div", *drawings, class_="small")
    caption = tag("figcaption", tag("strong", title), note)
    return tag("figure", caption, shown, class_="full" if len(drawings) > 1 else None)


def _definitions(summary: Summary) -> Markup:
    pairs = []
    for name in metric_names(summary):
        pairs += [tag("dt", metric_title(name)), tag("dd", definition(name))]
    return tag("dl", *pairs)


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="ascii")


def _hash_of(content: str) -> str:
    digest = hashlib.sha256(content.encode("ascii")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"

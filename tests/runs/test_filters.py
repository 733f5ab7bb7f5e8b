"""Run filters: what passes, what is said of a mistake, and that no text breaks them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runs.errors import UsageError
from runs.events import Step
from runs.labels import add_note
from runs.paths import LabHome
from runs.views.card import RunCard
from runs.views.filter_completion import complete
from runs.views.filter_syntax import (
    OPERATORS,
    AllOf,
    AnyOf,
    Compare,
    Expression,
    Match,
    Not,
    Word,
    parse,
    render,
)
from runs.views.filters import select
from tests.runs.curves import card, falling, train

TEXTS = st.text(min_size=1, max_size=12)
NAMES = st.from_regex(r"[a-z_][a-z_.0-9-]{0,9}", fullmatch=True)
LEAVES = st.one_of(
    st.builds(Word, text=TEXTS),
    st.builds(Match, name=NAMES, text=TEXTS),
    st.builds(Compare, key=TEXTS, operator=st.sampled_from(OPERATORS), value=TEXTS),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(AllOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> list[RunCard]:
    """Three runs: d2 and d12, finished, and one that was tagged and is not."""
    home = LabHome(tmp_path_factory.mktemp("home"))
    small = train(home, "small", falling(20), bpbs={10: 2.2, 20: 1.8}, tags=("try", "a.b"))
    big = train(
        home,
        "big (wide)",
        [3.0, float("nan"), 2.5],
        bpbs={3: 0.85},
        settings={"depth": 12, "dtype": None, "compile": "off"},
        params=1.5e9,
    )
    add_note(big.paths.run_dir, "looks good")
    odd = train(home, "odd", settings={"depth": 4, "window": [1, 2]}, is_finished=False)
    return [card(run) for run in (small, big, odd)]


def names(text: str, lab: list[RunCard]) -> list[str]:
    """Return the first words of the names of the runs that pass."""
    return [found.view.name.split()[0] for found in select(text, lab)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "small big odd"),
        ("depth=12", "big"),
        ("base.depth=12", "big"),
        ("depth!=12", "small odd"),
        ("depth>=4 depth<12", "odd"),
        ("depth=12 and val_bpb<0.9", "big"),
        ("depth=2 or depth=4", "small odd"),
        ("depth=2 or depth=4 and tag:try", "small"),
        ("(depth=2 or depth=4) and tag:try", "small"),
        ("not tag:try", "big odd"),
        ("-tag:try -depth=12", "odd"),
        ("-(tag:try or depth=12)", "odd"),
        ("tag:a", ""),
        ("tag:a*", "small"),
        ("tag=try", "small"),
        ("tag!=try", "big odd"),
        ('note:"good"', "big"),
        ("note~^looks", "big"),
        ("name:IG", "big"),
        ('"big (wide)"', "big"),
        ("name~'^(small|odd)$'", "small odd"),
        ("name!~small", "big odd"),
        ("state:finished", "small big"),
        ("recipe:base preset=cpu", "small big odd"),
        ("config:compile=off", "big"),
        ("config:depth=12", "big"),
        ("compile=off", "big"),
        ("dtype=none", "big"),
        ("window=1", "odd"),
        ("min:loss<2.6", "big"),
        ("min:loss<3.4 max:loss>7", "small"),
        ("last:loss<2.51 best:loss<2.51", "big"),
        ("loss@2>6", "small"),
        ("loss@2=nan", "big"),
        ("val_bpb<2", "small big"),
        ("max:val_bpb=2.2", "small"),
        ("has:loss", "small big"),
        ("-has:loss", "odd"),
        ("num_params>1B", "big"),
        ("tokens<20k", "big"),
        ("created>7d", "small big odd"),
        ("created<2d", "small big odd"),
        ("created>2025-11-20 created<2025-11-22", "small big odd"),
        ("created=2025-11-21", "small big odd"),
        ("age>1d", "small big odd"),
        ("elapsed<1h", "small big odd"),
        ("train_s>30s", "small"),
    ],
)
def test_filter_lets_the_right_runs_through(
    text: str, wanted: str, lab: list[RunCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    assert " ".join(names(text, lab)) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dpth=12", "character 1: no run has 'dpth'; closest: 'depth'"),
        ("depth=2 and vall_bpb<1", "character 13: no run has 'vall_bpb'; closest: 'val_bpb'"),
        ("depth=", "character 7: a value is missing after depth="),
        ("(depth=2", "character 1: this parenthesis is never closed"),
        ("depth=2)", "character 8: ')' closes nothing"),
        ("depth=2 or", "character 11: a term is missing at the end"),
        ('name="x', 'character 6: the quote " is never closed'),
        ("depth<many", "character 1: depth< needs a number, not 'many'"),
        ("age<many", "character 1: age< needs a time span such as 30m or 2d, not 'many'"),
        ("created>soon", "character 1: created needs a time: 2d, today, 2026-11-20; not 'soon'"),
        ("name<b", "character 1: name is text: compare it with =, !=, ~ or !~"),
        ("name~'('", "character 1: '(' is no regular expression"),
        ("tags:x", "character 1: unknown field 'tags'; closest: 'tag'"),
        ("most:loss<2", "character 1: 'most:loss' begins with no known prefix"),
        ("tag:", "character 5: a text is missing after tag:"),
        ("min:loss@3<2", "character 1: 'min:loss@3': a step goes with a metric's own value"),
        ("(" * 60 + "x" + ")" * 60, "more than 50 levels are nested"),
    ],
)
def test_mistake_is_named_with_its_place(text: str, said: str, lab: list[RunCard]) -> None:
    with pytest.raises(UsageError) as caught:
        select(text, lab)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_setting_of_several_stages_has_to_be_named_in_full(tmp_path: Path) -> None:
    run = train(LabHome(tmp_path), "two", settings={"inner": {"depth": 3}})
    with pytest.raises(UsageError, match=r"base\.depth=2, base\.inner\.depth=3.*; name one"):
        select("depth=2", [card(run)])


def test_card_of_a_newer_view_reads_again_only_what_may_have_changed(tmp_path: Path) -> None:
    home = LabHome(tmp_path)
    ended = train(home, "ended", falling(3))
    going = train(home, "going", falling(3), is_finished=False)
    going.run_now("base", Step(step=4, total_steps=9, metrics={"loss": 1.5}))
    old = [card(ended), card(going)]
    assert names("min:loss<9 depth=2", old) == ["ended", "going"]
    for run in (ended, going):
        run.paths.run_json.unlink()
    going.log("base", Step(step=5, total_steps=9, metrics={"loss": 0.5}))
    new = [one.updated(one.view) for one in old]
    assert names("depth=2", new) == ["ended", "going"]
    assert names("min:loss<1", new) == ["going"]
    assert new[0].figures is old[0].figures


def test_filter_over_no_runs_is_only_read() -> None:
    assert select("anything<1 tag:x", []) == []
    with pytest.raises(UsageError):
        select("anything<", [])


@given(TREES)
@settings(max_examples=80, deadline=None)
def test_rendered_filter_parses_to_the_same_tree(tree: Expression) -> None:
    assert parse(render(tree)) == tree


@pytest.mark.parametrize("text", ["(1)-:1", '"a"-:1', "(a)-tag:b", "a=-1 -b"])
def test_minus_negates_behind_parentheses_and_quotes_too(text: str) -> None:
    assert parse(render(parse(text))) == parse(text)


@given(st.text(alphabet="ab12 ()\"'\\:=<>!~-.@*[ortand\n\x00\u00e9", max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_filter_or_one_clear_line(text: str) -> None:
    try:
        found = parse(text)
    except UsageError as error:
        assert str(error).startswith("filter, character ")
    else:
        assert parse(render(found)) == found


@given(st.one_of(TREES.map(render), st.text(alphabet='depthlosag12: ()"=<>~-.@*', max_size=30)))
@settings(max_examples=100, deadline=None)
def test_any_filter_selects_runs_or_is_refused_in_one_line(lab: list[RunCard], text: str) -> None:
    try:
        assert set(select(text, lab)) <= set(lab)
    except UsageError as error:
        assert "\n" not in str(error)


@given(st.text(alphabet="dept12 ()\"':=<>~-.losag", max_size=16), st.integers(-2, 20))
@settings(max_examples=40, deadline=None)
def test_completion_never_raises_and_replaces_up_to_the_cursor(
    lab: list[RunCard], text: str, cursor: int
) -> None:
    for suggestion in complete(text, cursor, lab):
        assert 0 <= suggestion.start <= suggestion.end == max(0, min(cursor, len(text)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("dep", "depth"),
        ("tag:", "try"),
        ("-tag:a", "a.b"),
        ("depth=", "12"),
        ("state=f", "finished"),
        ("min:lo", "loss"),
        ("config:mat", "matrix_lr"),
        ("name:b", '"big (wide)"'),
        ("depth=2 an", "and"),
        ("depth=2 and val", "val_bpb"),
    ],
)
def test_completion_offers_what_exists_first(text: str, wanted: str, lab: list[RunCard]) -> None:
    found = complete(text, len(text), lab)
    assert wanted in [suggestion.text for suggestion in found[:2]]

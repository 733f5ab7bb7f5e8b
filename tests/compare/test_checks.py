"""Every check of the vibe test, with answers that pass and answers that do not."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from core.experiments.vibe.checks import CHECKS, Heard, build_check

PASSING: list[tuple[str, dict[str, Any], str]] = [
    ("number", {"value": 42}, "The answer is 42."),
    ("number", {"value": -14}, "5 - 19 makes -14"),
    ("number", {"value": 1200}, "1,200"),
    ("number", {"value": 3}, "I count 1, 2, 3"),
    ("spelled", {"word": "cat"}, "cat:c,a,t"),
    ("spelled", {"word": "cat"}, "It is spelled C-A-T."),
    ("spelled", {"word": "cat"}, "c a t"),
    ("says", {"words": ["model", "program"]}, "A small Model."),
    ("says", {"words": ["language model"]}, "a language\nmodel"),
    ("never", {"words": ["your name is"]}, "I do not know your name."),
    ("never", {"words": ["AI"]}, "I paid."),
    ("short", {"words": 3}, "one two three"),
    ("script", {"name": "latin"}, "Un été, 100 %"),
    ("script", {"name": "cyrillic"}, "Это дом (a) - большой и красивый"),
    ("script", {"name": "han"}, "水是液体。"),
    ("language", {"name": "english"}, "The dog is in the house."),
    ("language", {"name": "french"}, "Le chat est dans la maison."),
    ("language", {"name": "german"}, "Der Hund ist nicht das Tier, das ich meine."),
    ("language", {"name": "spanish"}, "El perro es un animal que vive con las personas."),
    ("unknowing", {}, "I don't know."),
    ("unknowing", {}, "I can\u2019t see you, sorry."),
    ("unknowing", {}, "I cannot really tell."),
    ("unknowing", {}, "There is no way to know that."),
    ("unknowing", {}, "You have not been told me. I have no memory of it."),
    ("ends", {}, "Hello."),
    ("no-loop", {}, "one two three four five six seven eight nine ten eleven"),
    ("no-loop", {}, "-" * 80),
    ("no-loop", {}, "ha ha ha ha"),
]
FAILING: list[tuple[str, dict[str, Any], str]] = [
    ("number", {"value": 42}, "42 is not it, 43 is."),
    ("number", {"value": -14}, "14"),
    ("number", {"value": 42}, "forty-two"),
    ("number", {"value": 42}, ""),
    ("spelled", {"word": "cat"}, "cat"),
    ("spelled", {"word": "cat"}, "cat:c,a,t,s"),
    ("spelled", {"word": "cat"}, "cat:c,t,a"),
    ("says", {"words": ["no"]}, "I know nothing"),
    ("says", {"words": ["model"]}, ""),
    ("never", {"words": ["your name is"]}, "Your  name is Ada."),
    ("short", {"words": 3}, "one two three four"),
    ("short", {"words": 3}, " "),
    ("script", {"name": "latin"}, "дом"),
    ("script", {"name": "han"}, "water"),
    ("script", {"name": "latin"}, "123"),
    ("script", {"name": "latin"}, "abc где и как"),
    ("language", {"name": "english"}, "Le chat est dans la maison."),
    ("language", {"name": "french"}, "The dog is in the house."),
    ("language", {"name": "german"}, "The count is 1."),
    ("language", {"name": "spanish"}, ""),
    ("unknowing", {}, "You ate pasta."),
    ("unknowing", {}, "I know it: it is four."),
    ("unknowing", {}, ""),
    ("ends", {}, "  "),
    ("no-loop", {}, "and then the cat " * 4),
    ("no-loop", {}, "It begins well. " + "no " * 20),
    ("no-loop", {}, "22" * 20),
]


def heard(text: str, finish: Literal["stop", "length"] = "stop") -> Heard:
    return Heard(text=text, finish=finish)


@pytest.mark.parametrize(("kind", "values", "text"), PASSING)
def test_a_check_passes(kind: str, values: dict[str, Any], text: str) -> None:
    assert build_check(kind, values)(heard(text))


@pytest.mark.parametrize(("kind", "values", "text"), FAILING)
def test_a_check_fails(kind: str, values: dict[str, Any], text: str) -> None:
    assert not build_check(kind, values)(heard(text))


def test_an_answer_that_was_cut_off_has_not_ended() -> None:
    assert not build_check("ends", {})(heard("Hello, I", "length"))


def test_every_check_is_tried_both_ways() -> None:
    assert {kind for kind, _, _ in PASSING} == {kind for kind, _, _ in FAILING} == set(CHECKS)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("nubmer", {}),
        ("number", {}),
        ("number", {"value": "many"}),
        ("number", {"value": 1, "other": 2}),
        ("says", {"words": "no"}),
        ("says", {"words": []}),
        ("never", {"words": [1]}),
        ("short", {"words": 0}),
        ("short", {"words": "few"}),
        ("script", {"name": "runes"}),
        ("language", {"name": "latin"}),
        ("language", {"name": 1}),
        ("ends", {"words": 3}),
    ],
)
def test_a_check_that_cannot_be_decided_is_refused(kind: str, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no check|cannot use|is known|says nothing"):
        build_check(kind, values)

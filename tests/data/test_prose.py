"""Markup, code and boilerplate leave a docstring; its sentences stay."""

from __future__ import annotations

import pytest

from core.data.prose import clean_paragraph, is_prose, paragraphs

SUMMARY = "Return the sum of the values along one axis."


def test_wrapped_lines_become_one_paragraph() -> None:
    rest = "The rest is up to you and it is not used here."
    text = f"Return the sum of the values\n    along one axis.\n\n    {rest}"
    assert paragraphs(text) == [SUMMARY, rest]


def test_examples_code_and_references_are_dropped() -> None:
    text = f"""{SUMMARY}

    Examples
    --------
    The first example is not prose that anyone would want to read.

    >>> total([1, 2])
    3

    References
    ----------
    A book that is the source of all this and of much more besides.
    """
    assert paragraphs(text) == [SUMMARY]


def test_block_after_a_double_colon_is_dropped_with_its_lead() -> None:
    text = (
        f"{SUMMARY}\n\nUse it like this::\n\n    The code is not for reading as it is only code.\n"
    )
    assert paragraphs(text) == [SUMMARY]


@pytest.mark.parametrize(
    "text",
    [
        "Parameters\n----------\naxis : int, optional\n    The axis along which to sum the values.",
        "Args:\n    axis (int): The axis along which to sum the values.",
        ":param int axis: The axis along which to sum the values.",
    ],
)
def test_parameters_in_any_style_become_sentences(text: str) -> None:
    expected = "`axis`: The axis along which to sum the values."
    assert paragraphs(f"{SUMMARY}\n\n{text}") == [SUMMARY, expected]


def test_list_items_are_paragraphs_of_their_own() -> None:
    first, second = (
        "The first item is here and it is long.",
        "The second item is here and it is long.",
    )
    assert paragraphs(f"- {first}\n- {second[:30]}\n  {second[31:]}") == [first, second]


def test_inline_markup_is_reduced_to_backticks() -> None:
    text = "See :func:`~numpy.sum` and ``axis`` in *all* `the docs <x.html>`_ of it [1]_."
    assert clean_paragraph(text) == "See `numpy.sum` and `axis` in all the docs of it."


def test_missing_full_stop_is_added_once() -> None:
    assert clean_paragraph("It is (as always) done") == "It is (as always) done."
    assert clean_paragraph("It is done (as always.)") == "It is done (as always.)"


@pytest.mark.parametrize(
    "text",
    [
        "Copyright 2001 by the authors, who are not to be named in this or any other text.",
        "TODO: this is not what we want and it should be changed as soon as it is possible.",
        "x = f(a, b) + g(c, d) if h else k[1:2] and {a: b} or None, x == y, z != w.",
        "lower case start of a sentence that is the rest of another one and not whole.",
        r"The value of \alpha is the limit of the sum over all of the terms in it.",
        "Too short.",
    ],
)
def test_noise_is_not_prose(text: str) -> None:
    assert not is_prose(text)


@pytest.mark.parametrize("text", ["", "\n", "```\ncode\n", ">>> 1\n1", "====", ":", "..", "Args:"])
def test_degenerate_docstrings_give_nothing(text: str) -> None:
    assert paragraphs(text) == []

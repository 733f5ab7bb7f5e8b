"""Conversations that are too long for the model: refused, or cut when the call says so."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from core.engine.context import fit
from tests.engine.builders import TOKENIZER
from tests.serve.builders import chat, events_of

MAX_POSITIONS = 5120
NUM_NEW = 20
DROPPED = "x-labcli-dropped-messages"


def talk(num_turns: int, num_chars: int, **fields: Any) -> dict[str, Any]:
    """Return a call whose user speaks so many times, each message with so many characters."""
    body = chat(**{"max_tokens": NUM_NEW, **fields})
    body["messages"] = [{"role": "system", "content": "be kind"}]
    for number in range(num_turns):
        body["messages"].append({"role": "user", "content": f"{number:03}" + "q" * num_chars})
        body["messages"].append({"role": "assistant", "content": f"{number:03}" + "a" * num_chars})
    del body["messages"][-1]
    return body


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions"])
def test_a_long_conversation_is_refused_with_what_would_help(
    client: httpx.Client, path: str
) -> None:
    response = client.post(path, json=talk(4, 1000))

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    for word in ("5120 positions", "shorten it", '"truncation": "auto"'):
        assert word in error["message"]


def test_a_call_may_have_its_oldest_turns_left_out_and_is_told_how_many(
    client: httpx.Client,
) -> None:
    body = talk(4, 1000, truncation="auto", lab=True)
    expected = fit(TOKENIZER, body["messages"], MAX_POSITIONS - NUM_NEW)
    assert expected.num_dropped

    response = client.post("/v1/chat/completions", json=body)

    assert response.status_code == 200
    assert response.headers[DROPPED] == str(expected.num_dropped)
    answer = response.json()
    assert answer["usage"]["prompt_tokens"] == len(expected.prompt_ids)
    assert answer["choices"][0]["lab"]["context"] == {
        "used": answer["usage"]["total_tokens"],
        "trained": 512,
        "max": MAX_POSITIONS,
        "dropped_messages": expected.num_dropped,
    }


def test_a_stream_says_at_once_and_at_its_end_what_was_left_out(client: httpx.Client) -> None:
    body = talk(4, 1000, truncation="auto", lab=True, stream=True)
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        dropped = int(response.headers[DROPPED])
        events = events_of(response.iter_lines())

    assert dropped > 0
    assert events[-1] == "[DONE]"
    assert events[-2]["lab"]["context"]["dropped_messages"] == dropped


def test_what_fits_is_not_cut_and_no_header_says_so(client: httpx.Client) -> None:
    bodies = [talk(2, 1000, lab=True), talk(2, 1000, lab=True, truncation="auto")]
    plain, cut = (client.post("/v1/chat/completions", json=body) for body in bodies)

    assert plain.json()["usage"] == cut.json()["usage"]
    assert DROPPED not in cut.headers


def test_more_turns_than_a_call_may_have_otherwise_are_cut_too(client: httpx.Client) -> None:
    limited = client.post("/v1/chat/completions", json=talk(300, 60))
    cut = client.post("/v1/chat/completions", json=talk(300, 60, truncation="auto"))

    assert limited.status_code == 400
    assert cut.status_code == 200
    assert int(cut.headers[DROPPED]) > 500


def test_a_question_that_is_too_long_alone_is_refused_in_either_way(client: httpx.Client) -> None:
    body = talk(1, 6000, truncation="auto")
    error = client.post("/v1/chat/completions", json=body).json()["error"]

    assert error["code"] == "context_length_exceeded"
    assert error["message"].startswith("the last question takes 60")


def test_only_known_ways_of_cutting_are_taken(client: httpx.Client) -> None:
    response = client.post("/v1/chat/completions", json=talk(1, 5, truncation="middle"))

    assert response.status_code == 400
    assert "truncation" in response.json()["error"]["message"]

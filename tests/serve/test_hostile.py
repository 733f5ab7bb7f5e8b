"""Requests that no server should trip over: each gets one clear refusal, and nothing stops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from core.serve.limits import MAX_BODY_BYTES, MAX_CHOICES
from tests.engine.builders import TOKENIZER
from tests.serve.builders import Server, chat

PATHS = ("/v1/chat/completions", "/chat/completions", "/v1/completions")
JSON = {"content-type": "application/json"}


def message_of(response: httpx.Response) -> str:
    """Return the message of an error, after checking the shape of all of it."""
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    message: str = body["error"]["message"]
    assert message
    assert "\n" not in message
    return message


@pytest.fixture(autouse=True)
def still_answers(client: httpx.Client) -> Iterator[None]:
    """Every test here ends with the server, and its one worker, as they were."""
    before = client.get("/stats").json()
    yield
    after = client.get("/stats").json()
    assert after["workers"][0]["pid"] == before["workers"][0]["pid"]
    assert after["running"] == after["queued"] == 0
    assert client.post("/v1/chat/completions", json=chat(max_tokens=1)).status_code == 200


def messages(*contents: Any) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [
        {"role": roles[index % 2], "content": content} for index, content in enumerate(contents)
    ]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 201}, "top_k"),
        ({"top_k": 2.5}, "top_k"),
        ({"top_p": 0}, "top_p"),
        ({"min_p": 1.5}, "min_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 4097}, "max_tokens"),
        ({"max_completion_tokens": "8"}, "max_completion_tokens"),
        ({"n": 0}, "n"),
        ({"n": MAX_CHOICES + 1}, "n"),
        ({"seed": 2**63}, "seed"),
        ({"seed": "lucky"}, "seed"),
        ({"stop": ""}, "stop"),
        ({"stop": ["x"] * 9}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"lab": 1}, "lab"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
        ({"top_logprobs": 2}, "logprobs"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"tools": [{}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"max_tokenz": 5}, "max_tokenz"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": messages("")}, "empty"),
        ({"messages": messages(5)}, "messages[0].content"),
        ({"messages": messages([{"type": "image_url", "text": "x"}])}, "messages[0].content"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": messages("a", "b")}, "user"),
        ({"messages": [*messages("a"), *messages("b")]}, "assistant"),
        ({"messages": [{"role": "system", "content": "x"}]}, "system"),
        ({"messages": messages([{"type": "python", "text": "1"}])}, "tool"),
        ({"messages": messages("x" * 8001)}, "8000"),
        ({"messages": messages("x" * 100_000)}, "8000"),
        ({"messages": messages(*["x"] * 501)}, "500"),
        ({"messages": messages(*["x" * 8000] * 5)}, "32000"),
        ({"messages": messages(*["x" * 2000] * 3), "max_tokens": 4096}, "positions"),
    ],
)
def test_a_field_out_of_bounds_is_refused_by_name(
    client: httpx.Client, fields: dict[str, Any], word: str
) -> None:
    response = client.post("/v1/chat/completions", json={**chat(), **fields})

    assert response.status_code == 400
    assert word in message_of(response)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": "x" * 32_001}, "32000"),
        ({"prompt": [-1]}, "ids"),
        ({"prompt": [TOKENIZER.vocab_size]}, "ids"),
        ({"prompt": ["a"] * (MAX_CHOICES + 1)}, "prompts"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": "a", "echo": True}, "echo"),
        ({"prompt": "a", "best_of": 2}, "best_of"),
    ],
)
def test_a_prompt_that_cannot_be_continued_is_refused(
    client: httpx.Client, fields: dict[str, Any], word: str
) -> None:
    response = client.post("/v1/completions", json=fields)

    assert response.status_code == 400
    assert word in message_of(response)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"{'a': 1}", b"[" * 100_000, b"1" * 9999],
    ids=["empty", "cut", "list", "null", "text", "not utf-8", "quotes", "nested", "long number"],
)
def test_a_body_that_is_no_json_object_is_refused(
    client: httpx.Client, path: str, body: bytes
) -> None:
    response = client.post(path, content=body, headers=JSON)

    assert response.status_code == 400
    message_of(response)


def test_numbers_that_json_does_not_have_are_refused(client: httpx.Client) -> None:
    for number in ("NaN", "Infinity", "-Infinity", "1e999"):
        body = json.dumps(chat()).replace('"temperature": 0.0', f'"temperature": {number}')
        response = client.post("/v1/chat/completions", content=body, headers=JSON)
        assert response.status_code == 400, number
        message_of(response)


def test_a_body_that_is_not_called_json_is_refused(client: httpx.Client) -> None:
    # A page of another site can send a form without asking the browser's leave, but not JSON.
    body = json.dumps(chat())
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        headers = {"content-type": kind}
        response = client.post("/v1/chat/completions", content=body, headers=headers)
        assert response.status_code == 400
        assert "application/json" in message_of(response)


def test_a_body_that_is_too_large_is_refused_before_it_is_parsed(client: httpx.Client) -> None:
    announced = client.post("/v1/chat/completions", content=b" " * (MAX_BODY_BYTES + 1))
    chunks = (b" " * 65_536 for _ in range(MAX_BODY_BYTES // 65_536 + 1))
    chunked = client.post("/v1/chat/completions", content=chunks, headers=JSON)

    for response in (announced, chunked):
        assert response.status_code == 413
        assert str(MAX_BODY_BYTES) in message_of(response)


@pytest.mark.parametrize(
    "name", ["nope", "/etc/passwd", "../..", "nope:sft@3", "tiny:rl", "tiny@99", "x" * 400, "\0"]
)
def test_an_unknown_model_is_not_found(client: httpx.Client, name: str) -> None:
    response = client.post("/v1/chat/completions", json=chat(model=name))

    assert response.status_code == 404
    message_of(response)


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_that_does_not_fit_is_a_status_and_not_a_stream(
    client: httpx.Client, stream: bool
) -> None:
    body = chat(max_tokens=4096, stream=stream, messages=messages(*["x" * 2000] * 3))
    response = client.post("/v1/chat/completions", json=body)

    assert response.status_code == 400
    assert "positions" in message_of(response)


@pytest.mark.parametrize(
    "text", ["<|assistant_end|><|bos|>", "\0\x1b[2J", "\u202e\ufeff", "e\u0301" * 999]
)
def test_strange_text_is_text(client: httpx.Client, text: str) -> None:
    response = client.post("/v1/chat/completions", json=chat(text, max_tokens=4))

    assert response.status_code == 200
    num_markers = 4
    usage = response.json()["usage"]
    assert usage["prompt_tokens"] == len(text.encode()) + num_markers


def test_half_of_a_surrogate_pair_becomes_a_replacement_character(client: httpx.Client) -> None:
    body = json.dumps(chat("@", max_tokens=4)).replace("@", "\\ud800")
    response = client.post("/v1/chat/completions", content=body, headers=JSON)
    assert response.status_code == 200
    tokens = client.post("/tokenize", content=b'{"text": "a\\ud800"}', headers=JSON).json()
    assert bytes(tokens["ids"]).decode() == "a\ufffd"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokenize", {}),
        ("/tokenize", {"text": 5}),
        ("/tokenize", {"text": "a", "messages": messages("a")}),
        ("/tokenize", {"messages": []}),
        ("/detokenize", {"ids": [-1]}),
        ("/detokenize", {"ids": [10**6]}),
        ("/detokenize", {"ids": ["1"]}),
        ("/detokenize", {"ids": [10**40]}),
    ],
)
def test_text_calls_refuse_what_they_cannot_read(
    client: httpx.Client, path: str, body: dict[str, Any]
) -> None:
    response = client.post(path, json=body)

    assert response.status_code == 400
    message_of(response)


def test_unknown_paths_and_methods_have_the_same_shape_of_error(
    client: httpx.Client, server: Server
) -> None:
    assert client.get("/v1/nothing").status_code == 404
    message_of(client.get("/v1/nothing"))
    wrong = client.get("/v1/completions")
    assert wrong.status_code == 405
    message_of(wrong)
    assert not any("Traceback" in line for line in server.lines)

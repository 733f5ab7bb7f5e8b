"""The OpenAI-compatible calls, asked over HTTP of a real server."""

from __future__ import annotations

import math
from typing import Any

import httpx
import pytest

from tests.engine.builders import TOKENIZER
from tests.runs.builders import wait_for
from tests.serve.builders import chat, events_of, text_of


def ask(client: httpx.Client, body: dict[str, Any], path: str = "/v1/chat/completions") -> Any:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def stream(
    client: httpx.Client, body: dict[str, Any], path: str = "/v1/chat/completions"
) -> list[Any]:
    with client.stream("POST", path, json={**body, "stream": True}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return events_of(response.iter_lines())


def test_models_lists_every_checkpoint_with_the_default_first(client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()["data"]

    assert [model["lab"]["stage"] for model in listed] == ["sft", "mid"]
    assert [model["lab"]["is_default"] for model in listed] == [True, False]
    assert listed[0]["id"].endswith(":sft@12")
    assert client.get("/v1/models/tiny").json() == listed[0]


def test_whole_answer_has_message_usage_and_the_full_name_of_the_model(
    client: httpx.Client,
) -> None:
    answer = ask(client, chat(max_tokens=8))

    assert answer["object"] == "chat.completion"
    assert answer["model"].endswith(":sft@12")
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["usage"]["completion_tokens"] == 8
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + 8


def test_stream_says_what_the_whole_answer_says_and_ends_in_done(client: httpx.Client) -> None:
    whole = ask(client, chat(max_tokens=40))
    events = stream(client, chat(max_tokens=40, stream_options={"include_usage": True}))

    assert events[-1] == "[DONE]"
    assert text_of(events) == whole["choices"][0]["message"]["content"]
    assert events[-2]["usage"] == whole["usage"]
    assert events[-2]["choices"] == []
    assert events[-3]["choices"][0]["finish_reason"] == "length"
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"


def test_a_model_is_loaded_when_a_call_names_it(client: httpx.Client) -> None:
    answers = [ask(client, chat(model=name)) for name in ("tiny:mid", "default", "", "tiny:sft")]

    names = [answer["model"].rsplit(":")[1] for answer in answers]
    assert names == ["mid@12", "sft@12", "sft@12", "sft@12"]
    contents = [answer["choices"][0]["message"]["content"] for answer in answers]
    assert contents[1] == contents[2] == contents[3] != contents[0]


def test_choices_differ_and_a_seed_repeats_them_all(client: httpx.Client) -> None:
    body = chat(n=3, seed=7, temperature=1.0, max_tokens=24)
    first, again = ask(client, body), ask(client, body)
    single = ask(client, {**body, "n": 1})

    texts = [choice["message"]["content"] for choice in first["choices"]]
    assert texts == [choice["message"]["content"] for choice in again["choices"]]
    assert len(set(texts)) == 3
    assert single["choices"][0]["message"]["content"] == texts[0]
    events = stream(client, body)
    assert [text_of(events, index) for index in range(3)] == texts


def test_stop_string_ends_the_answer_before_it(client: httpx.Client) -> None:
    text = ask(client, chat(max_tokens=40))["choices"][0]["message"]["content"]
    stop = next(text[i : i + 2] for i in range(8, 40) if text[i : i + 2].isalnum())
    for stops in (stop, [stop, "never said"]):
        choice = ask(client, chat(max_tokens=40, stop=stops))["choices"][0]
        assert choice["finish_reason"] == "stop"
        assert choice["message"]["content"] == text[: text.index(stop)]
    events = stream(client, chat(max_tokens=40, stop=stop))
    assert text_of(events) == text[: text.index(stop)]


def test_logprobs_of_greedy_tokens_are_the_best_and_spell_the_answer(client: httpx.Client) -> None:
    body = chat(max_tokens=24, logprobs=True, top_logprobs=3)
    choice = ask(client, body)["choices"][0]

    entries = choice["logprobs"]["content"]
    spelled = bytes(byte for entry in entries for byte in entry["bytes"])
    assert spelled.decode("utf-8", "replace") == choice["message"]["content"]
    for entry in entries:
        best = entry["top_logprobs"][0]
        assert len(entry["top_logprobs"]) == 3
        assert best["token"] == entry["token"]
        assert best["logprob"] == pytest.approx(entry["logprob"], abs=1e-5)
        assert sum(math.exp(other["logprob"]) for other in entry["top_logprobs"]) <= 1.0
    streamed = [
        entry
        for event in stream(client, body)
        if event != "[DONE]"
        for entry in event["choices"][0]["logprobs"]["content"]
    ]
    assert streamed == entries


def test_completion_continues_text_and_ids_alike(client: httpx.Client) -> None:
    settings = {"max_tokens": 12, "temperature": 0.0}
    ids = [TOKENIZER.bos, *TOKENIZER.encode("once")]
    by_text = ask(client, {"prompt": "once", **settings}, "/v1/completions")
    by_ids = ask(client, {"prompt": ids, **settings}, "/v1/completions")
    both = ask(client, {"prompt": ["once", "twice"], **settings}, "/v1/completions")
    events = stream(client, {"prompt": "once", **settings}, "/v1/completions")

    text = by_text["choices"][0]["text"]
    assert by_text["object"] == "text_completion"
    assert by_ids["choices"][0]["text"] == both["choices"][0]["text"] == text
    assert [choice["index"] for choice in both["choices"]] == [0, 1]
    assert "".join(event["choices"][0]["text"] for event in events[:-1]) == text


def test_completion_logprobs_point_at_their_places(client: httpx.Client) -> None:
    body = {"prompt": "once", "max_tokens": 12, "temperature": 0.0, "logprobs": 2}
    logprobs = ask(client, body, "/v1/completions")["choices"][0]["logprobs"]

    assert 0 < len(logprobs["tokens"]) == len(logprobs["text_offset"]) <= 12
    assert all(len(top) <= 2 for top in logprobs["top_logprobs"])
    assert logprobs["text_offset"] == sorted(logprobs["text_offset"])


def test_lab_chunks_carry_one_probe_per_token_and_end_with_figures(client: httpx.Client) -> None:
    events = stream(client, chat(max_tokens=12, lab=True))

    assert events[-1] == "[DONE]"
    tokens, last = events[:-2], events[-2]["lab"]
    assert last["tokens"] == len(tokens) == 12
    assert last["ttft_s"] > 0
    assert last["tok_per_sec"] > 0
    for event in tokens:
        lab = event["lab"]
        assert {"id", "entropy_nats", "surprisal_nats", "rank", "top"} <= set(lab)
        assert lab["rank"] == 0
        assert lab["top"][0][0] == lab["id"]
        assert lab["top"][0][1] == pytest.approx(math.exp(-lab["surprisal_nats"]), abs=1e-5)
    ids = [event["lab"]["id"] for event in tokens]
    assert TOKENIZER.decode(ids) == text_of(events)


def test_whole_lab_answer_has_parts_probes_and_figures(client: httpx.Client) -> None:
    answer = ask(client, chat(max_tokens=12, lab=True))

    choice = answer["choices"][0]
    assert answer["lab"]["tokens"] == len(choice["lab"]["probes"]) == 12
    texts = [part["text"] for part in choice["lab"]["parts"] if part["type"] == "text"]
    assert "".join(texts) == choice["message"]["content"]


def test_classic_chunks_carry_the_text_under_both_names(client: httpx.Client) -> None:
    with client.stream("POST", "/chat/completions", json=chat(max_tokens=12)) as response:
        events = events_of(response.iter_lines())

    assert events[-1] == "[DONE]"
    assert events[-2]["done"] is True
    for event in events[:-1]:
        assert event["choices"][0]["delta"]["content"] == event["token"]
    whole = ask(client, chat(max_tokens=12))
    assert text_of(events) == whole["choices"][0]["message"]["content"]


def test_a_system_message_changes_the_answer(client: httpx.Client) -> None:
    plain = chat(max_tokens=24)
    instructed = {**plain, "messages": [{"role": "system", "content": "be brief"}]}
    instructed["messages"] = [*instructed["messages"], *plain["messages"]]
    answers = [ask(client, body) for body in (plain, instructed)]

    assert answers[1]["usage"]["prompt_tokens"] > answers[0]["usage"]["prompt_tokens"]


@pytest.mark.parametrize("text", ["hello", "na\u00efve \U0001f600\n\ttabs", "<|bos|><|user_end|>"])
def test_tokenize_and_detokenize_are_inverse_and_read_no_special_tokens(
    client: httpx.Client, text: str
) -> None:
    tokens = ask(client, {"text": text}, "/tokenize")
    back = ask(client, {"ids": tokens["ids"]}, "/detokenize")

    assert back["text"] == text
    assert tokens["count"] == len(tokens["ids"]) == len(tokens["pieces"])
    assert tokens["num_bytes"] == len(text.encode())
    assert max(tokens["ids"]) < TOKENIZER.vocab_size - TOKENIZER.num_specials


def test_tokenize_shows_a_conversation_as_the_model_sees_it(client: httpx.Client) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}]}
    tokens = ask(client, body, "/tokenize")

    markers = ["<|bos|>", "<|user_start|>", "h", "i", "<|user_end|>", "<|assistant_start|>"]
    assert tokens["pieces"] == markers
    usage = ask(client, chat("hi"))["usage"]
    assert usage["prompt_tokens"] == tokens["count"]


def num_completed(client: httpx.Client) -> int:
    return int(client.get("/stats").json()["requests"]["completed"])


def test_health_stats_and_metrics_count_what_was_done(client: httpx.Client) -> None:
    before = client.get("/stats").json()
    ask(client, chat(max_tokens=8))
    # An answer is counted a moment after its last byte was sent.
    wait_for(lambda: num_completed(client) > before["requests"]["completed"], "the count")
    after = client.get("/stats").json()

    health = client.get("/health").json()
    assert health == {"status": "ok", "ready": True, "num_gpus": 1, "available_workers": 1}
    assert after["tokens"] == before["tokens"] + 8
    assert after["requests"]["completed"] == before["requests"]["completed"] + 1
    assert (after["total_workers"], after["available_workers"], after["busy_workers"]) == (1, 1, 0)
    assert after["workers"][0]["gpu_id"] == 0
    assert after["workers"][0]["device"] == "cpu"
    lines = client.get("/metrics").text.splitlines()
    assert f"labcli_running {0.0}" in lines
    assert any(line.startswith("labcli_inter_token_seconds_bucket") for line in lines)
    assert any(line.startswith("labcli_time_to_first_token_seconds_bucket") for line in lines)

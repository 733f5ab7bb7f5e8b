"""The client over a real server: what streams, what is refused, and a server that cannot start."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs.errors import LabError
from runs.paths import LabHome
from tests.tui.answering import BASE, ENDLESS, RunningServer, ask
from tui.answering.chunks import Ask
from tui.answering.client import LabClient
from tui.answering.sampling import TalkSettings
from tui.answering.server_process import ServerProcess


async def test_an_answer_streams_with_a_probe_per_token_and_ends_with_its_figures(
    lab: LabHome, socket: Path
) -> None:
    client = LabClient(RunningServer(lab, socket))
    chunks = [chunk async for chunk in client.answer(ask(max_new_tokens=12))]
    tokens = [chunk for chunk in chunks if chunk.token_id is not None]
    assert len(tokens) == 12
    assert all((chunk.entropy_nats or 0) > 0 and len(chunk.top) == 5 for chunk in tokens)
    ending = chunks[-1].ending
    assert ending is not None
    assert (ending.finish, ending.num_tokens, ending.trained) == ("length", 12, 512)
    assert (ending.ttft_s or 0) > 0 and (ending.tok_per_sec or 0) > 0
    assert ending.used > 12
    assert await client.token_texts(ENDLESS, [72, 105]) == ["H", "i"]


async def test_a_base_model_goes_on_with_the_last_text_and_reads_no_turns(
    lab: LabHome, socket: Path
) -> None:
    client = LabClient(RunningServer(lab, socket))
    messages = [{"role": "user", "content": text} for text in ("earlier", "abc")]
    settings = TalkSettings(temperature=0.0, max_new_tokens=4)
    question = Ask(model=BASE, is_base=True, messages=messages, settings=settings)
    chunks = [chunk async for chunk in client.answer(question)]
    ending = chunks[-1].ending
    assert ending is not None
    # The token that opens a document and three bytes.
    assert ending.used - ending.num_tokens == 4


async def test_what_the_server_refuses_is_one_sentence(lab: LabHome, socket: Path) -> None:
    client = LabClient(RunningServer(lab, socket))
    with pytest.raises(LabError, match="no run matches 'nothing'"):
        _ = [chunk async for chunk in client.answer(ask(model="nothing"))]


async def test_a_home_without_models_says_why_the_server_does_not_start(tmp_path: Path) -> None:
    client = LabClient(ServerProcess(LabHome(tmp_path)))
    with pytest.raises(LabError, match=r"did not start: .*no runs in"):
        _ = [chunk async for chunk in client.answer(ask())]
    assert client.server.phase == "off"
    await client.close()

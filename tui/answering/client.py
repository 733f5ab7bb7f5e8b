"""Asks the lab's own server for answers and yields them token by token.

One client per app: the arena, the chat and whatever else asks a model share its server process.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx

from runs.errors import LabError
from tui.answering.chunks import Ask, Chunk, chunk_of
from tui.answering.server_process import ServerProcess

_DATA = "data: "
_DONE = "[DONE]"


class ServerGone(LabError):
    """The server ended while it was asked."""


class LabClient:
    """Streams answers; starts the server when it is first asked and again when it has died."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server

    async def answer(self, ask: Ask) -> AsyncIterator[Chunk]:
        """Yield an answer token by token; whoever stops to listen frees its row.

        A server that died before the first token is started once more.

        Raises:
            LabError: the server refuses, cannot be started, or ended with the answer unfinished.
        """
        for is_last_try in (False, True):
            has_begun = False
            client = await self.server.client(ask.model)
            try:
                async with client.stream("POST", ask.path, json=ask.body()) as response:
                    if response.status_code != 200:
                        raise _refusal(await response.aread())
                    async for chunk in _chunks(response):
                        has_begun = True
                        yield chunk
                return
            except httpx.TransportError as error:
                ended = await self.server.how_it_ended()
                if ended is not None and not has_begun and not is_last_try:
                    continue
                what = ended or f"broke off: {error}"
                raise ServerGone(f"the model server {what}; asking again starts it anew") from None

    async def token_texts(self, model: str, ids: Sequence[int]) -> list[str]:
        """Return the text of each token id, special ones as their written names.

        Raises:
            LabError: the server refuses or is gone.
        """
        client = await self.server.client(model)
        try:
            answer = await client.post("/detokenize", json={"model": model, "ids": list(ids)})
        except httpx.TransportError as error:
            raise ServerGone(f"the model server broke off: {error}") from None
        if answer.status_code != 200:
            raise _refusal(answer.content)
        return [str(piece) for piece in answer.json()["pieces"]]

    async def close(self) -> None:
        """End the server."""
        await self.server.close()


async def _chunks(response: httpx.Response) -> AsyncIterator[Chunk]:
    is_done = False
    async for line in response.aiter_lines():
        if not line.startswith(_DATA):
            continue
        data = line.removeprefix(_DATA)
        if data == _DONE:
            is_done = True
            continue
        body: Any = json.loads(data)
        if "error" in body:
            raise LabError(str(body["error"]["message"]))
        chunk = chunk_of(body)
        if chunk is not None:
            yield chunk
    if not is_done:
        raise httpx.RemoteProtocolError("the stream ended in the middle of an answer")


def _refusal(content: bytes) -> LabError:
    try:
        return LabError(str(json.loads(content)["error"]["message"]))
    except (ValueError, KeyError, TypeError):
        return LabError(f"the model server answered with what is no error of its own: {content!r}")

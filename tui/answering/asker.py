"""The one client that the views of the app share, made when the first of them asks a model."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from runs.paths import LabHome

if TYPE_CHECKING:
    from tui.answering.client import LabClient


class Asker:
    """Holds the client; views that ask nobody do not wait for what it imports."""

    def __init__(self, client: LabClient | None = None) -> None:
        self._client = client

    def client(self, home: LabHome) -> LabClient:
        """Return the client of a lab home."""
        if self._client is None:
            process = importlib.import_module("tui.answering.server_process").ServerProcess(home)
            client: LabClient = importlib.import_module("tui.answering.client").LabClient(process)
            self._client = client
        return self._client

    async def close(self) -> None:
        """End the server if there is one."""
        if self._client is not None:
            await self._client.close()

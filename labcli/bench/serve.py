"""How much of the engine's speed a server passes on: `labcli serve` beside the engine alone.

Both answer the same requests in turns: the engine in this process, once with the threads of a
server's worker and once with one per core, and the server in its own, asked by one asynchronous
client over a unix socket. Definitions: tok_per_sec: tokens that the engine made, or that the server
counted, over the time from the first request to the end of the last answer. ratio: server over the
faster engine. ttft: from a request to its first chunk, as the client reads it. inter_token: between
two chunks of one answer; a chunk has one token, more when the client is behind. A lost request is
one whose answer did not come to its end.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labcli.text.figures import figure, percent
from labcli.text.tables import render
from runs.errors import LabError

if TYPE_CHECKING:
    import httpx

    from core.engine.engine import Engine
    from core.model import GPT
    from core.tokenizer import Tokenizer

START_DEADLINE_S = 120.0
STOP_DEADLINE_S = 20.0
ROUND_DEADLINE_S = 600.0
POLL_S = 0.1
TEMPERATURE = 0.8
TOP_K = 50
HEADER = (
    "STREAMS", "ENGINE TOK/S", "SERVER TOK/S", "RATIO", "TOKEN P50 MS", "TOKEN P99 MS",
    "TTFT P50 MS", "TTFT P99 MS", "LOST",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is measured: so many streams at once, answers of num_new tokens to random ids."""

    num_streams: int
    num_prompt: int
    num_new: int
    rounds: int

    def prompt(self, round_index: int, stream: int) -> list[int]:
        """Return ids that no other request begins with: nothing of a cache can be used again."""
        ids = [round_index % 256, stream % 256, stream // 256]
        ids += [(31 * stream + 7 * place) % 256 for place in range(self.num_prompt)]
        return ids[: max(3, self.num_prompt)]


@dataclass(slots=True, kw_only=True)
class Heard:
    """What the client read of one answer; times are of perf_counter."""

    asked_s: float
    chunks_s: list[float] = field(default_factory=list)
    is_complete: bool = False

    @property
    def ttft_s(self) -> float | None:
        """Time to the first chunk, if one came."""
        return self.chunks_s[0] - self.asked_s if self.chunks_s else None

    @property
    def gaps_s(self) -> list[float]:
        """Times between neighbouring chunks."""
        return [after - before for before, after in pairwise(self.chunks_s)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round of either side; with the engine alone there is no client that hears."""

    num_tokens: int
    wall_s: float
    heard: Sequence[Heard] = ()

    @property
    def tok_per_sec(self) -> float:
        """Tokens over the whole time."""
        return self.num_tokens / self.wall_s


def save_random(model: GPT, tokenizer: Tokenizer, run_dir: Path) -> Path:
    """Write a model that no run made where a server can load it; return its checkpoint."""
    import torch

    from core import checkpoint
    from core.checkpoint import CheckpointMeta
    from core.config import build_stage_config
    from core.optim.muon_adamw import MuonAdamW
    from core.ranks import alone
    from core.settings.training import BaseConfig

    (run_dir / "artifacts" / "tok").mkdir(parents=True)
    config = build_stage_config("base", {"num_iterations": 1})
    assert isinstance(config, BaseConfig)
    meta = CheckpointMeta(
        stage="base", step=0, model_config=model.config,
        tokenizer_sha256=tokenizer.save(run_dir / "artifacts" / "tok" / "tokenizer.json"),
        config_hash="", num_rows=0, tokens=0, train_s=0.0, flops=0.0,
    )  # fmt: skip
    optimizer = MuonAdamW(model, config, alone(torch.device("cpu")), tokens_per_step=1)
    moments = optimizer.gathered_state()
    assert moments is not None
    return checkpoint.save(run_dir / "checkpoints" / "base", model, moments, meta).path


def load_engine(path: Path, device_name: str | None, max_rows: int) -> Engine:
    """Return the engine of a checkpoint as a server's worker builds it."""
    import torch

    from core import checkpoint
    from core.device import inference_dtype, pick_device
    from core.engine.engine import Engine
    from labcli.speaking.speaker import find_tokenizer

    device = pick_device(device_name or ("cuda" if torch.cuda.is_available() else "cpu"))
    sha256 = checkpoint.read_meta(path).tokenizer_sha256
    model = checkpoint.load_model(path, device=device, dtype=inference_dtype("auto", device))
    return Engine(model, find_tokenizer(path, sha256), max_rows=max_rows)


def measure(engine: Engine, checkpoint: Path, case: Case, device: str | None) -> dict[str, Any]:
    """Return one row. The sides take turns; their first round warms up and does not count."""
    import torch

    from core.engine.slots import Slots
    from core.serve.worker_link import worker_environment

    few, all_threads = int(worker_environment({}, 1)["OMP_NUM_THREADS"]), torch.get_num_threads()
    alone: dict[int, list[Round]] = {few: [], all_threads: []}
    served: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="labcli-bench-") as directory:
        socket = Path(directory) / "serve.sock"
        with _server(checkpoint, socket, case.num_streams, device):
            for number in range(case.rounds + 1):
                for num_threads, rounds in alone.items():
                    torch.set_num_threads(num_threads)
                    rounds.append(_run_engine(engine, case, number))
                    # No turn may find what the one before has stored.
                    engine.slots = Slots(engine.max_rows, has_reuse=True)
                served.append(asyncio.run(_run_server(socket, case, number)))
    return {
        "streams": case.num_streams,
        "prompt": case.num_prompt,
        "new": case.num_new,
        "rounds": case.rounds,
        **summarise({num: rounds[1:] for num, rounds in alone.items()}, served[1:]),
        "device": str(engine.model.cos.device),
        "torch": torch.__version__,
    }


def summarise(alone: Mapping[int, Sequence[Round]], served: Sequence[Round]) -> dict[str, Any]:
    """Return the figures of all rounds: medians of speeds, quantiles over every token.

    `alone` holds the engine's rounds by its number of threads.
    """
    by_threads = {num: _speed(rounds) for num, rounds in alone.items()}
    engine, server = max(by_threads.values()), _speed(served)
    heard = [one for each in served for one in each.heard]
    return {
        "engine_tok_per_sec": engine,
        "server_tok_per_sec": server,
        "ratio": server / engine,
        "engine_by_threads": by_threads,
        "inter_token_s": _quantiles([gap_s for one in heard for gap_s in one.gaps_s]),
        "ttft_s": _quantiles([one.ttft_s for one in heard if one.ttft_s is not None]),
        "num_requests": len(heard),
        "num_lost": sum(not one.is_complete for one in heard),
    }


def render_row(row: Mapping[str, Any]) -> str:
    """Return the figures as a table of one line."""
    quantiles = [row[name][p] for name in ("inter_token_s", "ttft_s") for p in ("p50", "p99")]
    cells = [
        str(row["streams"]),
        figure(row["engine_tok_per_sec"], 0),
        figure(row["server_tok_per_sec"], 0),
        percent(row["ratio"]),
        *(figure(None if value is None else value * 1e3, 1) for value in quantiles),
        str(row["num_lost"]),
    ]
    return render(HEADER, [cells], right="r" * len(HEADER))


def _speed(rounds: Sequence[Round]) -> float:
    return statistics.median(each.tok_per_sec for each in rounds)


def _quantiles(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p99": None}
    ranked, last = sorted(values), len(values) - 1
    return {name: ranked[round(q * last)] for name, q in (("p50", 0.5), ("p99", 0.99))}


def _run_engine(engine: Engine, case: Case, number: int) -> Round:
    from core.engine.request import Request

    requests = [
        Request(
            prompt_ids=case.prompt(number, stream),
            max_new_tokens=case.num_new,
            temperature=TEMPERATURE,
            top_k=TOP_K,
            seed=stream,
        )
        for stream in range(case.num_streams)
    ]
    start_s = time.perf_counter()
    num_tokens = sum(1 for _ in engine.stream(requests))
    return Round(num_tokens=num_tokens, wall_s=time.perf_counter() - start_s)


async def _run_server(socket: Path, case: Case, number: int) -> Round:
    import httpx

    transport = httpx.AsyncHTTPTransport(uds=str(socket), limits=httpx.Limits(max_connections=None))
    async with (
        httpx.AsyncClient(
            transport=transport, base_url="http://localhost", timeout=ROUND_DEADLINE_S
        ) as client,
        asyncio.timeout(ROUND_DEADLINE_S),
    ):
        before = await _count_tokens(client)
        start_s = time.perf_counter()
        streams = range(case.num_streams)
        heard = await asyncio.gather(*(_ask(client, case, number, each) for each in streams))
        wall_s = time.perf_counter() - start_s
        num_tokens = await _count_tokens(client) - before
    return Round(num_tokens=num_tokens, wall_s=wall_s, heard=heard)


async def _ask(client: httpx.AsyncClient, case: Case, number: int, stream: int) -> Heard:
    import httpx

    body = {
        "prompt": case.prompt(number, stream),
        "max_tokens": case.num_new,
        "temperature": TEMPERATURE,
        "top_k": TOP_K,
        "seed": stream,
        "stream": True,
    }
    heard = Heard(asked_s=time.perf_counter())
    end = b""
    # What breaks off is a lost request, and counted as one.
    with suppress(httpx.HTTPError):
        async with client.stream("POST", "/v1/completions", json=body) as response:
            async for data in response.aiter_raw():
                if response.status_code == httpx.codes.OK:
                    heard.chunks_s.append(time.perf_counter())
                    end = (end + data)[-64:]
    heard.is_complete = end.endswith(b"data: [DONE]\n\n")
    return heard


async def _count_tokens(client: httpx.AsyncClient) -> int:
    """Return the tokens that the server has counted since its start."""
    return int((await client.get("/stats")).json()["tokens"])


@contextmanager
def _server(checkpoint: Path, socket: Path, max_rows: int, device: str | None) -> Iterator[None]:
    """Run `labcli serve` on a socket while the block runs."""
    words = ["serve", "--model", str(checkpoint), "--uds", str(socket), "--exit-with-stdin"]
    words += ["--max-rows", str(max_rows), "--max-queue", str(max_rows)]
    words += [] if device is None else ["--device", device]
    with (
        (socket.parent / "serve.log").open("w+b") as log,
        subprocess.Popen(
            [sys.executable, "-m", "labcli.app", *words],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            _wait_ready(process, socket, log.name)
            yield
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_ready(process: subprocess.Popen[bytes], socket: Path, log: str) -> None:
    import httpx

    deadline_s = time.monotonic() + START_DEADLINE_S
    transport = httpx.HTTPTransport(uds=str(socket))
    with httpx.Client(transport=transport, base_url="http://localhost") as client:
        while time.monotonic() < deadline_s and process.poll() is None:
            with suppress(httpx.HTTPError):
                if client.get("/health").json()["ready"]:
                    return
            time.sleep(POLL_S)
    told = Path(log).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise LabError(f"the server did not come up: {told[-1] if told else 'it said nothing'}")

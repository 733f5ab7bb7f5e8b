"""The calls of the first web chats: POST /chat/completions, /health, /stats; and /metrics."""

from __future__ import annotations

import time
from typing import Any

import psutil
from fastapi import APIRouter, Request
from starlette.responses import Response

from core.serve import metrics
from core.serve.bodies import ChatBody
from core.serve.dispatch import Seat
from core.serve.forms import ClassicForm
from core.serve.openai_api import answer_chat
from core.serve.service import Service, service_of

router = APIRouter()


@router.post("/chat/completions")
async def classic_chat(request: Request, body: ChatBody) -> Response:
    """Answer a conversation; always streams, and every chunk carries `token` too."""
    num_top = (body.top_logprobs or 0) if body.logprobs else None
    return await answer_chat(request, body, ClassicForm(num_top), num_top=num_top, is_stream=True)


@router.get("/health")
async def health(request: Request) -> dict[str, Any]:
    """Return whether calls are answered; anyone may ask, a token is not needed."""
    service = service_of(request)
    return {
        "status": "ok",
        "ready": service.pool.is_ready,
        "num_gpus": len(service.pool.seats),
        "available_workers": sum(_is_available(service, seat) for seat in service.pool.seats),
    }


@router.get("/stats")
async def stats(request: Request) -> dict[str, Any]:
    """Return what the workers do and what was counted since the start."""
    service = service_of(request)
    pool, counted = service.pool, service.metrics
    num_available = sum(_is_available(service, seat) for seat in pool.seats)
    return {
        "total_workers": len(pool.seats),
        "available_workers": num_available,
        "busy_workers": len(pool.seats) - num_available,
        "workers": [_worker(service, seat) for seat in pool.seats],
        "running": pool.num_running,
        "queued": pool.num_queued,
        "max_queue": service.settings.max_queue,
        "requests": counted.num_by_outcome,
        "tokens": counted.num_tokens,
        "worker_restarts": counted.num_restarts,
        "latency": counted.latencies(),
        "uptime_s": round(time.monotonic() - service.started_s, 3),
        "server": {"pid": psutil.Process().pid, "rss_bytes": psutil.Process().memory_info().rss},
    }


@router.get("/metrics")
async def prometheus(request: Request) -> Response:
    """Return the counters in Prometheus's text format."""
    return Response(service_of(request).metrics.as_text(), media_type=metrics.CONTENT_TYPE)


def _is_available(service: Service, seat: Seat) -> bool:
    return seat.state == "ready" and seat.num_running < service.settings.max_rows


def _worker(service: Service, seat: Seat) -> dict[str, Any]:
    pid = service.pool.pid(seat)
    return {
        "gpu_id": seat.index,
        "device": seat.device,
        "state": seat.state,
        "pid": pid,
        "running": seat.num_running,
        "rss_bytes": _rss_bytes(pid),
        "models": [
            {"name": name, "state": slot.state, "running": slot.num_running,
             "max_positions": slot.max_positions}
            for name, slot in seat.slots.items()
        ],
    }  # fmt: skip


def _rss_bytes(pid: int | None) -> int | None:
    try:
        return None if pid is None else psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return None

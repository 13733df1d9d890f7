"""Pages: what this worker knows of itself, over Faust's own web server.

/metrics   Prometheus text           /health    200 while the worker works, else 503 and why
/ready     200 once partitions are assigned     /api/models /api/windows /api/alerts   JSON
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from stream.serve.metrics import Metrics
from stream.serve.recent import Recent

JSON = "application/json"
Probe = Callable[[], tuple[bool, dict[str, Any]]]
Page = Callable[[web.Request], Awaitable[web.Response]]


def pages(metrics: Metrics, recent: Recent, *, health: Probe, ready: Probe) -> dict[str, Page]:
    """The handler of each path."""
    small = {"/health": health, "/ready": ready}
    large: dict[str, Callable[[str | None], bytes]] = {
        "/metrics": lambda _: metrics.expose(),
        "/api/models": lambda _: recent.models(),
        "/api/windows": recent.windows,
        "/api/alerts": recent.alerts,
    }

    async def answer(request: web.Request) -> web.Response:
        if (probe := small.get(request.path)) is not None:
            is_well, body = probe()
            return _json(orjson.dumps(body), status=200 if is_well else 503)
        # In a thread: thousands of series, megabytes of windows must not hold up the event loop.
        content = await asyncio.to_thread(large[request.path], request.query.get("model"))
        if request.path == "/metrics":
            return web.Response(body=content, headers={"Content-Type": CONTENT_TYPE_LATEST})
        return _json(content)

    return dict.fromkeys([*small, *large], answer)


def _json(body: bytes, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=body, status=status, content_type=JSON, headers=headers)

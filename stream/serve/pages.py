"""Pages: what this worker knows of itself, over Faust's own web server.

/metrics   Prometheus text           /health    200 while the worker works, else 503 and why
/ready     200 once partitions are assigned     /api/models /api/windows /api/alerts   JSON
"""

from __future__ import annotations

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
    routes: dict[str, Callable[[web.Request], web.Response]] = {
        "/metrics": lambda _: web.Response(
            body=metrics.expose(), headers={"Content-Type": CONTENT_TYPE_LATEST}
        ),
        "/health": lambda _: _probe(health),
        "/ready": lambda _: _probe(ready),
        "/api/models": lambda _: _json(recent.models()),
        "/api/windows": lambda request: _json(_chosen(recent.windows, request)),
        "/api/alerts": lambda request: _json(_chosen(recent.alerts, request)),
    }

    async def answer(request: web.Request) -> web.Response:
        return routes[request.path](request)

    return dict.fromkeys(routes, answer)


def _probe(probe: Probe) -> web.Response:
    is_well, body = probe()
    return _json(body, status=200 if is_well else 503)


def _json(body: Any, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=orjson.dumps(body), status=status, content_type=JSON, headers=headers)


def _chosen(items: Any, request: web.Request) -> list[Any]:
    """The items of one model if ?model= says so, the last ones first."""
    model = request.query.get("model")
    chosen = [i for i in items if model in (None, i.get("model", i.get("data", {}).get("model")))]
    return chosen[::-1]

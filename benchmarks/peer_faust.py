"""Peer: a textbook Faust agent that keeps running statistics of every feature.

In    bootstrap, topic, application id, port, folder (arguments of the program)
Out   statistics in a dict, for nobody; the number of events on /metrics
Not   windows, references, alerts: the least that monitoring with Faust would do

As its documentation shows it: a topic with JSON values, `async for` over the stream, a dict.
"""

from __future__ import annotations

import sys
from typing import Any

import faust

from benchmarks.peer_statistics import Statistics


def build(bootstrap: str, topic: str, name: str, port: int, folder: str) -> faust.App:
    """The app; it starts at the beginning of the topic."""
    app = faust.App(
        name,
        broker=f"kafka://{bootstrap}",
        store="memory://",
        datadir=folder,
        value_serializer="json",
        web_bind="127.0.0.1",
        web_host="127.0.0.1",
        web_port=port,
    )
    statistics = Statistics()

    @app.agent(app.topic(topic))
    async def count(events: faust.StreamT[Any]) -> None:
        async for event in events:
            statistics.add(event["features"])

    @app.page("/metrics")
    async def metrics(web: Any, _request: Any) -> Any:
        return web.text(f"events_total {statistics.events}\n")

    return app


if __name__ == "__main__":
    address, source, app_id, web_port, data = sys.argv[1:]
    app = build(address, source, app_id, int(web_port), data)
    faust.Worker(app, loglevel="warn").execute_from_commandline()

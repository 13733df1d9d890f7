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


class Running:
    """Count, mean, variance and range of a number so far (Welford 1962)."""

    __slots__ = ("high", "low", "m2", "mean", "n")

    def __init__(self) -> None:
        self.n, self.mean, self.m2 = 0, 0.0, 0.0
        self.low, self.high = float("inf"), float("-inf")

    def add(self, value: float) -> None:
        self.n += 1
        delta = value - self.mean
        self.mean += delta / self.n
        self.m2 += delta * (value - self.mean)
        self.low, self.high = min(self.low, value), max(self.high, value)


class Statistics:
    """What is known of all features."""

    def __init__(self) -> None:
        self.events = 0
        self.numbers: dict[str, Running] = {}
        self.texts: dict[str, dict[str, int]] = {}
        self.missing: dict[str, int] = {}

    def add(self, features: dict[str, Any]) -> None:
        """Count one event."""
        for name, value in features.items():
            if value is None:
                self.missing[name] = self.missing.get(name, 0) + 1
            elif isinstance(value, str):
                counts = self.texts.setdefault(name, {})
                counts[value] = counts.get(value, 0) + 1
            else:
                running = self.numbers.get(name)
                if running is None:
                    running = self.numbers[name] = Running()
                running.add(value)
        self.events += 1


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

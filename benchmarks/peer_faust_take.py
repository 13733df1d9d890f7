"""Peer: a Faust agent that takes a thousand events at a time and reckons with numpy.

In    bootstrap, topic, application id, port, folder (arguments of the program)
Out   statistics, for nobody; the number of events on /metrics
Not   windows, references, alerts

What somebody does next who finds the textbook agent too slow.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import faust
import numpy as np

SIZE, WITHIN_S = 1_000, 0.1


class Columns:
    """Count, sum, sum of squares and range of each number; counts of each category."""

    def __init__(self) -> None:
        self.events = 0
        self.numbers: dict[str, np.ndarray[Any, Any]] = {}
        self.texts: dict[str, Counter[str]] = {}

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Count many events."""
        for name, first in rows[0].items():
            values = [row[name] for row in rows]
            if isinstance(first, str):
                self.texts.setdefault(name, Counter()).update(values)
            else:
                self._add_numbers(name, np.array(values, np.float64))
        self.events += len(rows)

    def _add_numbers(self, name: str, values: np.ndarray[Any, Any]) -> None:
        there = values[~np.isnan(values)]
        new = np.array([len(there), there.sum(), there @ there, there.min(), there.max()])
        old = self.numbers.setdefault(name, new)
        if old is not new:
            old[:3] += new[:3]
            old[3], old[4] = min(old[3], new[3]), max(old[4], new[4])


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
    columns = Columns()

    @app.agent(app.topic(topic))
    async def count(events: faust.StreamT[Any]) -> None:
        async for rows in events.take(SIZE, within=WITHIN_S):
            columns.add([row["features"] for row in rows])

    @app.page("/metrics")
    async def metrics(web: Any, _request: Any) -> Any:
        return web.text(f"events_total {columns.events}\n")

    return app


if __name__ == "__main__":
    address, source, app_id, web_port, data = sys.argv[1:]
    app = build(address, source, app_id, int(web_port), data)
    faust.Worker(app, loglevel="warn").execute_from_commandline()

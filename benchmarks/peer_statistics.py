"""Peer statistics: events in, running statistics of every feature out; what the peers have to do.

In    the features of an event
Out   count, mean, variance, range of each number; counts of each category; nulls
Not   windows, quantiles, references, alerts

Standard library only: some peers run in an environment of their own.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


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


def serve(statistics: Statistics, port: int) -> None:
    """Serve the number of events on /metrics, from a thread."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"events_total {statistics.events}\n".encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()

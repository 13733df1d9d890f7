"""A worker as a child process, its configuration and what it leaves on its topics."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
import yaml

from stream.bus.bulk import BulkPublisher
from stream.bus.connection import Connection
from stream.bus.tail import read_topic
from stream.bus.topics import create_missing, plans
from stream.replay.sources import Message
from stream.settings import Settings, load
from tests.kafka_fixture import wait_until

LOGICAL = ("predictions", "labels", "partials", "windows", "alerts", "dead-letters", "references",
           "judge-state", "configurations")  # fmt: skip
MOST_RSS = 700 << 20  # bytes; a worker with numba and nothing to do has 250 MB


def write_config(
    folder: Path,
    bootstrap: str,
    prefix: str,
    body: dict[str, Any],
    *,
    bus: dict[str, Any] | None = None,
) -> Path:
    """A configuration whose topics and groups are this test's own; bus overrides."""
    bus = {
        "bootstrap": bootstrap,
        "group_prefix": prefix.rstrip("-"),
        "topics": {name: prefix + name for name in LOGICAL},
        **(bus or {}),
    }
    path = folder / "driftline.yaml"
    path.write_text(yaml.safe_dump({"bus": bus, **body}), encoding="utf-8")
    return path


def create_topics(settings: Settings) -> None:
    """All topics of a configuration."""
    bus = settings.bus
    wanted = plans(bus.topics, bus.partitions, bus.replication)
    asyncio.run(create_missing(Connection(bus.bootstrap), wanted))


def publish(settings: Settings, chunks: Iterable[list[Message]]) -> int:
    """All messages onto the topic of predictions."""

    async def work() -> int:
        sent = 0
        topic = settings.bus.topics["predictions"]
        async with BulkPublisher(Connection(settings.bus.bootstrap), topic) as publisher:
            for chunk in chunks:
                await publisher.publish((m.key, m.value) for m in chunk)
                sent += len(chunk)
        return sent

    return asyncio.run(work())


def read(settings: Settings, logical: str) -> list[Any]:
    """All JSON values on a topic now."""

    async def work() -> list[Any]:
        connection, topic = Connection(settings.bus.bootstrap), settings.bus.topics[logical]
        return [orjson.loads(v) async for v in read_topic(connection, topic, follow=False)]

    return asyncio.run(work())


class WorkerProcess:
    """`driftline worker` on a free port; a context manager that tells it to stop at the end."""

    def __init__(
        self,
        path: Path,
        port: int,
        name: str = "worker",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = load(path)
        self.port = port
        self._log = path.parent / f"{name}.log"
        self._environment = dict(environment or {})
        words = ["-m", "stream", "worker", "-c", str(path), "--web-port", str(port)]
        self._words = [sys.executable, *words]
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> WorkerProcess:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._words,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(Path.cwd()), **self._environment},
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_ready(self, seconds: float = 200.0) -> WorkerProcess:
        """Return when partitions are assigned."""
        assert wait_until(lambda: self.get("/ready") is not None, seconds), self.log()
        return self

    def wait_until_up(self, seconds: float = 60.0) -> WorkerProcess:
        """Return when it answers; it may have no partitions."""
        assert wait_until(lambda: self.get("/metrics") is not None, seconds), self.log()
        return self

    def stop(self) -> int:
        """SIGTERM, and the exit code; fails if it takes longer than the hard stop allows."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGCONT)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not stop within 20 s: {self.log()}") from None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def halt(self) -> None:
        """SIGSTOP: it stands still and does not know."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def exit_code(self, seconds: float = 60.0) -> int:
        """Wait until it ends by itself; a signal's number below zero."""
        assert self.process is not None
        return self.process.wait(seconds)

    def get(self, page: str, good: int = 200) -> str | None:
        """The body of a page; None while there is no answer with the good status."""
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{page}", timeout=5) as answer:
                return str(answer.read().decode()) if good == answer.status else None
        except urllib.error.HTTPError as answer:
            with answer:
                return str(answer.read().decode()) if good == answer.status else None
        except (urllib.error.URLError, OSError):
            return None

    def metric(self, name: str) -> float:
        """The sum of a metric over its series."""
        lines = (self.get("/metrics") or "").splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def lags(self) -> dict[int, float]:
        """Messages not read yet, by partition."""
        lines = [x for x in (self.get("/metrics") or "").splitlines() if "consumer_lag{" in x]
        return {int(x.split('"')[1]): float(x.rsplit(" ", 1)[1]) for x in lines}

    def shares(self) -> int:
        """How many partitions of predictions it has."""
        assigned = orjson.loads(self.get("/ready") or '{"assigned":{}}')["assigned"]
        return len(assigned.get(self.settings.bus.topics["predictions"], ()))

    def rss(self) -> int:
        """Resident bytes now."""
        assert self.process is not None
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def log(self) -> str:
        """The end of what it wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-3_000:]

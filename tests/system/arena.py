"""Arena: a broker, topics and a feed in; workers to hurt, and the verdict on what they left, out.

In    a broker, a folder, a prefix, a seed
Out   workers that can be killed, halted and continued; `settle` waits until the oracle agrees
Not   the oracle (oracle.py), what a violation is (checker.py)

Everything is read back by a plain consumer of its own. How long recovery took is written to the
file that DRIFTLINE_REPORT names, one line of JSON per measurement.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from stream.broker import free_port
from stream.clock import SystemClock
from stream.settings import load
from tests.kafka_fixture import wait_until
from tests.system.checker import two_alerts, violations
from tests.system.feed import Feed, Sent
from tests.system.flow import Flow
from tests.system.oracle import Expected, Source, Times, expect
from tests.worker_process import WorkerProcess, create_topics, write_config

TIMES = Times()
BODY: dict[str, Any] = {
    "window": {
        "length": "60s",
        "more": ["30s"],
        "pane": "10s",
        "grace": "10s",
        "idle_timeout": "1h",  # what the oracle expects is then a function of the log alone
        "revise_for": "10m",
    },
    "models": {
        name: {
            "segments": ["region"],
            "reference": {"previous": "previous"},
            "rules": [
                {"name": "moving", "measure": "psi", "on": "features", "above": 0.05},
                {"name": "failing", "objective": "error_ratio", "above": "1%"},
            ],
        }
        for name in ("alpha", "beta")
    },
}
CHUNK = 5_000


def pause(seconds: float) -> None:
    """Let a fault last; what is tested is that time passes."""
    threading.Event().wait(seconds)


def fill_up(folder: Path) -> Path:
    """Take what is left of a file system; the file to delete when it is to have room again."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 12))
    return filler


class Reader:
    """A topic read record by record from its beginning, as far as it goes now."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._bootstrap, self._topic = bootstrap, topic
        self.records: list[ConsumerRecord] = []
        self._next: dict[Any, int] = {}

    async def read(self) -> list[ConsumerRecord]:
        """All records so far."""
        consumer = AIOKafkaConsumer(
            self._topic,
            bootstrap_servers=self._bootstrap,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=8 << 20,
        )
        await consumer.start()
        try:
            for tp, offset in self._next.items():
                consumer.seek(tp, offset)
            ends = await consumer.end_offsets(consumer.assignment())
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                    self.records += records
                    self._next[tp] = records[-1].offset + 1
        finally:
            await consumer.stop()
        return self.records


class Arena:
    """One test's topics, feed and workers."""

    def __init__(
        self, folder: Path, bootstrap: str, prefix: str, *, bus: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None, times: Times = TIMES,
    ) -> None:  # fmt: skip
        self._folder, self._bootstrap, self._prefix = folder, bootstrap, prefix
        self._bus = {"session_timeout": "6s", **(bus or {})}
        self._body, self._times = body or BODY, times
        self.path = self.config("driftline")
        self.settings = load(self.path)
        self.clock = SystemClock()
        self._readers = {n: self.reader(n) for n in ("predictions", "windows", "dead-letters")}
        create_topics(self.settings)

    def config(
        self, name: str, *, bootstrap: str | None = None, bus: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
    ) -> Path:  # fmt: skip
        """A configuration beside the usual one, for a worker that has something of its own."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        more = {**self._bus, **(bus or {})}
        where = bootstrap or self._bootstrap
        return write_config(folder, where, self._prefix, body or self._body, bus=more)

    def reader(self, logical: str) -> Reader:
        """Reads one of this test's topics."""
        return Reader(self._bootstrap, self.settings.bus.topics[logical])

    def worker(
        self, name: str, *, failpoints: str = "", path: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> WorkerProcess:  # fmt: skip
        """A worker that is not started yet."""
        around = {"DRIFTLINE_FAILPOINTS": failpoints, **(environment or {})}
        return WorkerProcess(path or self.path, free_port(), name, around)

    def publish(self, feed: Iterable[Sent]) -> int:
        """Messages onto their partitions, each partition in order."""

        async def work() -> int:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap, acks="all", enable_idempotence=True,
                linger_ms=5, max_batch_size=256 * 1024,
            )  # fmt: skip
            topic, sent = self.settings.bus.topics["predictions"], 0
            told: list[asyncio.Future[Any]] = []
            await producer.start()
            try:
                batches: dict[int, Any] = defaultdict(producer.create_batch)
                for partition, value in feed:
                    sent += 1
                    builder = batches[partition]
                    if builder.append(timestamp=None, key=None, value=value) is None:
                        told.append(await producer.send_batch(builder, topic, partition=partition))
                        builder = batches[partition] = producer.create_batch()
                        builder.append(timestamp=None, key=None, value=value)
                for partition, builder in batches.items():
                    told.append(await producer.send_batch(builder, topic, partition=partition))
                await asyncio.gather(*told)
            finally:
                await producer.stop()
            return sent

        return asyncio.run(work())

    def flow(self, feed: Feed, per_second: int = 1_000) -> Flow:
        """Publishes the feed in the background, while faults happen."""
        return Flow(self._bootstrap, self.settings.bus.topics["predictions"], feed, per_second)

    def finish(
        self, feed: Feed, seconds: float = 60.0, *, what: str, forgives: Collection[str] = ()
    ) -> float:
        """Close the feed and wait until the oracle agrees; how many seconds that took."""
        self.publish(feed.close())
        return self.settle(seconds, what=what, forgives=forgives)

    def expected(self) -> Expected:
        """What the oracle makes of the topic of predictions as it is now."""
        records = asyncio.run(self._readers["predictions"].read())
        log = sorted(records, key=lambda r: (r.partition, r.offset))
        return expect(
            (Source(r.partition, r.offset, r.timestamp, r.value or b"") for r in log), self._times
        )

    def values(self, logical: str) -> list[Any]:
        """All JSON values of a topic so far."""
        reader = self._readers.setdefault(logical, self.reader(logical))
        return [orjson.loads(r.value) for r in asyncio.run(reader.read()) if r.value is not None]

    def forget(self, logical: str) -> None:
        """The topic was deleted: its next one is read from the beginning."""
        self._readers.pop(logical, None)

    def violations(self, expected: Expected, *, forgives: Collection[str] = ()) -> list[str]:
        """What the checker says of the topics now."""
        topic = self.settings.bus.topics["predictions"]
        windows, letters = self.values("windows"), self.values("dead-letters")
        return violations(expected, windows, letters, topic, forgives=forgives)

    def settle(
        self, seconds: float = 60.0, *, what: str = "settled", forgives: Collection[str] = (),
        expected: Expected | None = None,
    ) -> float:  # fmt: skip
        """Wait until nothing is violated any more; how many seconds it took.

        expected  None is what the oracle makes of the topic now

        Fails with what is still violated at the end.
        """
        expected, started_ms = expected or self.expected(), self.clock.monotonic_ms()
        assert expected.windows, "the log closes no window: nothing would be checked"
        last: list[str] = []

        def agrees() -> bool:
            last[:] = self.violations(expected, forgives=forgives)
            return not last

        if not wait_until(agrees, seconds):
            raise AssertionError("\n".join(last))
        assert two_alerts(self.values("alerts")) == []
        took_s = (self.clock.monotonic_ms() - started_ms) / 1000
        self.report(what, took_s)
        return took_s

    def report(self, what: str, seconds: float) -> None:
        """Note a measurement."""
        if path := os.environ.get("DRIFTLINE_REPORT"):
            windows = self.values("windows")
            sent = {(w["window_id"], w["revision"]) for w in windows}
            line = {"test": self._prefix, "what": what, "seconds": round(seconds, 2),
                    "windows": len(sent), "sent_again": len(windows) - len(sent)}  # fmt: skip
            with Path(path).open("ab") as report:
                report.write(orjson.dumps(line) + b"\n")

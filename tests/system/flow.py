"""Flow: a feed in, its messages on the topic at a steady rate until told to stop.

In    a broker that may go away, a topic, a feed, a rate
Out   messages in the feed's order on each partition; after an error some of them twice, which is
      for the oracle to see, as it reads the topic
Not   a benchmark: one thread of the test's own process
"""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.system.feed import Feed, Sent

STEP_S = 0.2


class Flow:
    """Publishes in the background; a context manager."""

    def __init__(self, bootstrap: str, topic: str, feed: Feed, per_second: int = 1_000) -> None:
        self._bootstrap, self._topic, self._feed = bootstrap, topic, feed
        self._step = max(1, int(per_second * STEP_S))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), daemon=True)
        self.sent = 0

    def __enter__(self) -> Flow:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), "what was published is not acknowledged"

    async def _work(self) -> None:
        unsent: list[Sent] = []
        while unsent or not self._stop.is_set():
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap, acks="all", linger_ms=5,
                request_timeout_ms=10_000,
            )  # fmt: skip
            try:
                await producer.start()
                while unsent or not self._stop.is_set():
                    unsent = unsent or list(self._feed.take(self._step))
                    await self._send(producer, unsent)
                    self.sent += len(unsent)
                    unsent = []
                    await asyncio.to_thread(self._stop.wait, STEP_S)
            except (KafkaError, TimeoutError):
                await asyncio.sleep(STEP_S)
            finally:
                await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, messages: list[Sent]) -> None:
        sent = [
            await producer.send(self._topic, value, partition=partition)
            for partition, value in messages
        ]
        await asyncio.gather(*sent)

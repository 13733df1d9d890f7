"""Publisher: prediction events of a Python service in, on their way to Kafka without waiting.

In    `publish(event)` from any thread or event loop
Out   columnar messages on the predictions topic; counts of what was sent and what was dropped
Not   how events share a message (envelopes.py); filling a topic from a file (bulk.py)

A service must answer whether or not anybody watches it: `publish` never waits, and when the broker
is away or slow, events beyond `max_pending` are dropped and counted, oldest kept. Sending has a
thread with an event loop of its own, so it works in a synchronous service too, and starts anew in a
forked process.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.bus.connection import Connection, client_arguments
from stream.bus.envelopes import Envelope, Event, pack_events
from stream.errors import BusError

MAX_MESSAGE_BYTES = 900_000  # below the usual limits of brokers and of `limits: max_message_bytes`
RETRY_S = 1.0  # between two attempts to reach a broker
STOP_S = 2.0  # for the thread to end once nothing is waited for any more

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """Events since the publisher was made: accepted = sent + pending + dropped but queue_full."""

    accepted: int = 0
    sent: int = 0  # acknowledged by the broker
    pending: int = 0
    dropped: Counter[str] = field(default_factory=Counter)  # queue_full, too_large, not_json, …

    def drop(self, reason: str, events: int) -> None:
        """Events that were pending are given up."""
        self.dropped[reason] += events
        self.pending -= events


class Publisher:
    """Publishes prediction events; thread-safe; a context manager.

    max_pending   events kept while the broker is away; more are dropped
    batch_events  a message is sent when so many wait,
    linger_s      or when the oldest has waited so long

    Raises ConfigError if a certificate or the password cannot be read.
    """

    def __init__(
        self,
        connection: Connection | str,
        *,
        topic: str = "predictions",
        max_pending: int = 10_000,
        batch_events: int = 256,
        linger_s: float = 0.5,
    ) -> None:
        if isinstance(connection, str):
            connection = Connection(connection)
        client_arguments(connection)  # mistakes in it are the caller's, not the thread's
        self._connection = connection
        self._topic, self._max_pending = topic, max_pending
        self._batch_events, self._linger_s = batch_events, linger_s
        self._lock = threading.Condition()  # notified when nothing is pending
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begin()

    def _begin(self) -> None:
        self.counts = Counts()
        self._queue: deque[Event] = deque()
        self._wake, self._hurry, self._closing = (threading.Event() for _ in range(3))
        self._process, self._thread, self._is_closed = os.getpid(), None, False

    def publish(self, event: Mapping[str, Any]) -> bool:
        """Take an event (its form: README); False if it had to be dropped.

        The event and its features are copied, so both may be changed afterwards.
        Raises BusError after `close`.
        """
        copy: Event = dict(event)
        if type(features := copy.get("features")) is dict:
            copy["features"] = features.copy()
        with self._lock:
            if self._process != os.getpid():
                self._begin()  # a forked process has the queue's copy, but not the thread
            if self._is_closed:
                raise BusError("the publisher is closed")
            if self.counts.pending >= self._max_pending:
                self.counts.dropped["queue_full"] += 1
                return False
            if self._thread is None:
                self._start()
            self.counts.accepted += 1
            self.counts.pending += 1
            self._queue.append(copy)
            if len(self._queue) >= self._batch_events:
                self._wake.set()
        return True

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Send what waits; True when all is acknowledged or dropped within the time."""
        self._hurry.set()
        self._wake.set()
        with self._lock:
            done = self._lock.wait_for(lambda: not self.counts.pending, timeout_s)
        self._hurry.clear()
        return done

    def close(self, timeout_s: float = 10.0) -> Counts:
        """Send what waits, for at most so long, and stop; what is left counts as dropped."""
        with self._lock:
            if self._is_closed:
                return self.counts
            self._is_closed = True
        atexit.unregister(self.close)
        self.flush(timeout_s)
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(STOP_S)
            if self._loop is not None and self._thread.is_alive():  # it waits for the broker
                self._loop.call_soon_threadsafe(self._stop)
        with self._lock:
            if self.counts.pending:
                self.counts.drop("closed", self.counts.pending)
        return self.counts

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self) -> None:
        name = f"driftline-publisher-{self._topic}"
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()
        atexit.register(self.close)  # a daemon thread is stopped without a word

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except asyncio.CancelledError:
            pass
        except Exception:  # a service must live on, and the next event starts another thread
            log.exception("publishing to %s failed", self._topic)
            with self._lock:
                self._queue.clear()
                self.counts.drop("failed", self.counts.pending)
                self._thread = None

    def _stop(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        while (client := await self._connected()) is not None:
            try:
                while not self._closing.is_set():
                    if not (self._hurry.is_set() and self._queue):
                        await asyncio.to_thread(self._wake.wait, self._linger_s)
                        self._wake.clear()
                    await self._send(client, self._taken())
                return
            except KafkaError:  # an idempotent producer is of no use after one
                continue
            finally:
                await _stop(client)

    async def _connected(self) -> AIOKafkaProducer | None:
        """A producer once a broker answers; None if we are to stop before."""
        while not self._closing.is_set():
            client = AIOKafkaProducer(
                **client_arguments(self._connection),
                acks="all",
                enable_idempotence=True,
                compression_type="lz4",
                max_request_size=2 * MAX_MESSAGE_BYTES,
            )
            try:
                await client.start()
                return client
            except (KafkaError, OSError):
                await _stop(client)
                await asyncio.to_thread(self._closing.wait, RETRY_S)
        return None

    def _tell(self) -> None:
        if not self.counts.pending:
            self._lock.notify_all()

    def _taken(self) -> list[Envelope]:
        with self._lock:
            events = list(self._queue)
            self._queue.clear()
        packed = pack_events(events, MAX_MESSAGE_BYTES)
        with self._lock:
            for reason, count in packed.refused.items():
                self.counts.drop(reason, count)
            self._tell()
        return packed.envelopes

    async def _send(self, client: AIOKafkaProducer, envelopes: list[Envelope]) -> None:
        """Send and wait for all; what is refused counts as dropped.

        Raises the first KafkaError, for then the producer is of no use any more.
        """
        sent = await asyncio.gather(
            *(client.send_and_wait(self._topic, e.value, key=e.key) for e in envelopes),
            return_exceptions=True,
        )
        errors = [result for result in sent if isinstance(result, BaseException)]
        with self._lock:
            for envelope, result in zip(envelopes, sent, strict=True):
                if isinstance(result, BaseException):
                    self.counts.drop(type(result).__name__, envelope.events)
                else:
                    self.counts.sent += envelope.events
                    self.counts.pending -= envelope.events
            self._tell()
        if errors:
            log.warning("cannot publish to %s: %r", self._topic, errors[0])
            raise errors[0]


async def _stop(client: AIOKafkaProducer) -> None:
    """Disconnect, but do not wait for a broker that is away."""
    try:
        async with asyncio.timeout(1.0):
            await client.stop()
    except (KafkaError, OSError):  # TimeoutError is an OSError
        pass

"""Live: a rate and a duration in, events on a topic as they happen out; runs as a program.

    python -m benchmarks.live BOOTSTRAP TOPIC EVENTS_PER_SECOND MODELS UNTIL_MS

In    what the words say; UNTIL_MS is wall time since the epoch
Out   events whose `ts` is the moment of sending, spread over models m00, m01, …; in every second
      slice of SLICE_MS of wall time their latency is a hundred times as long. At the end one line:
      events sent, and how late the last ones were in milliseconds
Not   events of long ago (backlog.py)
"""

from __future__ import annotations

import asyncio
import sys
import time
from itertools import chain

import orjson

from benchmarks import workloads
from benchmarks.stamped import ID_MARK, TS_MARK, Batches, StampedPublisher
from stream.bus.connection import Connection

STEP_MS = 20  # between two bursts
MOST = 20_000  # events of a burst: who is late goes on being on time
SLICE_MS = 10_000
OF_A_MODEL = 2_000  # different events
SLOW_MS, FAST_MS = 1_000, 10
HEAD = b'{"id":"l-%d-%b","model":"m%02d","version":"1","ts":%b,"latency_ms":%d,'


def batches(models: int, run: int, latency_ms: int) -> Batches:
    """Events of each model in turn; `run` tells their ids from another run's."""
    # Fewer would be counted value by value, as if the features of a model were discrete.
    events = chain.from_iterable(workloads.chunks(max(workloads.CHUNK, models * OF_A_MODEL)))
    keep = ("features", "prediction")
    return Batches(
        [
            HEAD % (run, ID_MARK, at % models, TS_MARK, latency_ms)
            + orjson.dumps({k: event[k] for k in keep})[1:]
            for at, event in enumerate(events)
        ]
    )


async def send(bootstrap: str, topic: str, rate: int, models: int, until_ms: int) -> None:
    """Publish until it is time."""
    run, sent = now_ms(), 0
    slow, fast = (batches(models, run, ms) for ms in (SLOW_MS, FAST_MS))
    started_ms = now_ms()
    async with StampedPublisher(Connection(bootstrap), topic) as publisher:
        while (at_ms := now_ms()) < until_ms:
            due = min(MOST, (at_ms - started_ms) * rate // 1000 - sent)
            source = slow if at_ms // SLICE_MS % 2 else fast
            await publisher.publish(source, sent, due, at_ms)
            await publisher.flush()
            sent += due
            await asyncio.sleep(max(0.0, STEP_MS - (now_ms() - at_ms)) / 1000)
    print(sent, now_ms() - until_ms, flush=True)


def now_ms() -> int:
    """Wall time."""
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    where, name, per_second, of_models, end = sys.argv[1:]
    asyncio.run(send(where, name, int(per_second), int(of_models), int(end)))

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

import orjson

from benchmarks import workloads
from stream.bus.bulk import BulkPublisher
from stream.bus.connection import Connection

STEP_MS = 20  # between two bursts
MOST = 20_000  # events of a burst: who is late goes on being on time
SLICE_MS = 10_000
HEAD = b'{"id":"l-%d-%d","model":"m%02d","version":"1","ts":%d,"latency_ms":%d'


def tails(models: int) -> list[bytes]:
    """What stands behind the head of an event, for a good many events."""
    [events] = workloads.chunks(models * 100)
    keep = ("features", "prediction")
    return [b"," + orjson.dumps({k: event[k] for k in keep})[1:] for event in events]


async def send(bootstrap: str, topic: str, rate: int, models: int, until_ms: int) -> None:
    """Publish until it is time."""
    bodies, sent, started_ms = tails(models), 0, now_ms()
    async with BulkPublisher(Connection(bootstrap), topic) as publisher:
        while (at_ms := now_ms()) < until_ms:
            due = min(MOST, (at_ms - started_ms) * rate // 1000 - sent)
            slow = 1_000 if at_ms // SLICE_MS % 2 else 10
            heads = (
                HEAD % (started_ms, i, i % models, at_ms, slow) for i in range(sent, sent + due)
            )
            values = (head + bodies[i % len(bodies)] for i, head in enumerate(heads, sent))
            await publisher.publish((b"%d" % i, value) for i, value in enumerate(values))
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

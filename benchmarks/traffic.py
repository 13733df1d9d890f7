"""Traffic: a rate in, columnar batches of prediction events on a topic at that rate, as of now out.

    python -m benchmarks.traffic BOOTSTRAP TOPIC EVENTS_PER_SECOND SECONDS

In    a broker with the topic
Out   events whose time is the present and whose ids are new; the features repeat after a while
Not   recorded events (backlog.py)

What does not change is encoded once, so that this process leaves the machine to the others.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from itertools import cycle

import orjson

from benchmarks import workloads
from stream.bus.bulk import BulkPublisher
from stream.bus.connection import Connection

BATCH = 500  # events of a message
KINDS = 40  # messages with features of their own
STEP_S = 0.05


def messages() -> Iterator[tuple[bytes, bytes]]:
    """Keys and values without end."""
    events = next(workloads.chunks(workloads.CHUNK))
    bodies = []
    for value in workloads.batches(events[: BATCH * KINDS], BATCH):
        body = orjson.loads(value)
        del body["columns"]["id"], body["columns"]["ts"]
        head, _, tail = orjson.dumps(body).partition(b'"columns":{')
        bodies.append((head + b'"columns":{', b"," + tail))
    for number, (head, tail) in enumerate(cycle(bodies)):
        now_ms = time.time_ns() // 1_000_000
        ids = orjson.dumps([f"t-{now_ms}-{number}-{at}" for at in range(BATCH)])
        times = orjson.dumps([now_ms] * BATCH)
        yield b"%d" % number, head + b'"id":' + ids + b',"ts":' + times + tail


async def send(bootstrap: str, topic: str, per_second: float, seconds: float) -> None:
    """Publish for so long."""
    source, sent, started = messages(), 0, time.monotonic()
    async with BulkPublisher(Connection(bootstrap), topic) as publisher:
        while (passed := time.monotonic() - started) < seconds:
            due = int(passed * per_second / BATCH)
            await publisher.publish(next(source) for _ in range(due - sent))
            await publisher.flush()
            sent = due
            await asyncio.sleep(STEP_S)


if __name__ == "__main__":
    asyncio.run(send(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))

"""Traffic: a rate in, prediction events on a topic at that rate, as of now out.

    python -m benchmarks.traffic BOOTSTRAP TOPIC EVENTS_PER_SECOND SECONDS

In    a broker with the topic
Out   one event per message, whose time is the present and whose id is new. At the end one line:
      events sent in how many seconds
Not   recorded events (backlog.py), many models (live.py)
"""

from __future__ import annotations

import asyncio
import sys
import time

import orjson

from benchmarks import workloads
from benchmarks.stamped import ID_MARK, TS_MARK, Batches, StampedPublisher
from stream.bus.connection import Connection

STEP_S = 0.02
MOST = 40_000  # events of a step: who is late goes on being on time


def batches(run: int) -> Batches:
    """Events of the workload; `run` tells their ids from another run's."""
    [events] = workloads.chunks(workloads.CHUNK)
    head = b'{"id":"t-%d-%b","model":"%b","version":"%b","ts":%b,'
    model, version = workloads.MODEL.encode(), workloads.VERSION.encode()
    start = head % (run, ID_MARK, model, version, TS_MARK)
    keep = ("features", "prediction", "latency_ms")
    return Batches([start + orjson.dumps({k: event[k] for k in keep})[1:] for event in events])


async def send(bootstrap: str, topic: str, per_second: float, seconds: float) -> None:
    """Publish for so long."""
    source, sent, started = batches(time.time_ns()), 0, time.monotonic()
    async with StampedPublisher(Connection(bootstrap), topic) as publisher:
        while (passed := time.monotonic() - started) < seconds:
            due = min(int(passed * per_second) - sent, MOST)
            await publisher.publish(source, sent, due, time.time_ns() // 1_000_000)
            sent += due
            await asyncio.sleep(max(0.0, STEP_S - (time.monotonic() - started - passed)))
    print(sent, round(time.monotonic() - started, 1), flush=True)


if __name__ == "__main__":
    asyncio.run(send(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))

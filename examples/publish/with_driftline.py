"""Publish predictions with Driftline's own client: batched, bounded, never waits.

Run: python examples/publish/with_driftline.py localhost:9092
"""

import sys
import time

from stream.bus.publisher import Publisher

with Publisher(sys.argv[1], topic="predictions") as publisher:
    for number in range(1000):
        # In a service: once per prediction, from any thread. False means: dropped and counted.
        publisher.publish(
            {
                "id": f"driftline-{number}",
                "model": "arrival-delay",
                "version": "3",
                "ts": time.time() * 1000,
                "features": {"dep_delay": number % 60 - 3.0, "carrier": "UA"},
                "prediction": {"score": number / 1000},
                "latency_ms": 12.4,
            }
        )
print(publisher.counts)

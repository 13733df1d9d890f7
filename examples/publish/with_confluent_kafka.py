"""Publish predictions with confluent-kafka (librdkafka): arrays of events.

Run: pip install confluent-kafka; python examples/publish/with_confluent_kafka.py localhost:9092
"""

import json
import sys
import time

from confluent_kafka import Producer

producer = Producer(
    {
        "bootstrap.servers": sys.argv[1],
        "enable.idempotence": True,  # or a retry could count an event twice
        "compression.type": "lz4",
        "linger.ms": 50,
    }
)
batch = []
for number in range(1000):
    batch.append(
        {
            "id": f"confluent-{number}",
            "model": "arrival-delay",
            "version": "3",
            "ts": time.time() * 1000,
            "features": {"dep_delay": number % 60 - 3.0, "carrier": "UA"},
            "prediction": {"score": number / 1000},
            "latency_ms": 12.4,
        }
    )
    if len(batch) == 100:
        producer.produce("predictions", json.dumps(batch).encode())
        batch = []
producer.flush()

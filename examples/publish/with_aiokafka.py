"""Publish predictions with plain aiokafka: one event per message.

Run: python examples/publish/with_aiokafka.py localhost:9092
"""

import asyncio
import json
import sys
import time

from aiokafka import AIOKafkaProducer


async def main(bootstrap: str) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,  # or a retry could count an event twice
        compression_type="lz4",
        linger_ms=50,
    )
    async with producer:
        for number in range(1000):
            event = {
                "id": f"aiokafka-{number}",
                "model": "arrival-delay",
                "version": "3",
                "ts": time.time() * 1000,
                "features": {"dep_delay": number % 60 - 3.0, "carrier": "UA"},
                "prediction": {"score": number / 1000},
                "latency_ms": 12.4,
            }
            await producer.send("predictions", json.dumps(event).encode())


asyncio.run(main(sys.argv[1]))

"""Peer: a plain aiokafka consumer that throws the bytes away; reads the topic again and again.

In    bootstrap, topic, group, port, events on the topic (arguments of the program)
Out   the number of messages so far on /metrics
Not   decoding, counting anything: what the client alone costs
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web
from aiokafka import AIOKafkaConsumer


class Reader:
    """Counts the messages of a topic, pass after pass."""

    def __init__(self, bootstrap: str, topic: str, group: str, on_topic: int) -> None:
        self.messages = 0
        self._on_topic = on_topic
        self._consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest"
        )

    async def run(self) -> None:
        """Read until the process is ended."""
        await self._consumer.start()
        while True:
            fetched = await self._consumer.getmany(timeout_ms=100)
            self.messages += sum(map(len, fetched.values()))
            if fetched and self.messages % self._on_topic == 0:  # one pass is quickly over
                await self._consumer.seek_to_beginning()

    async def metrics(self, _request: web.Request) -> web.Response:
        """The page."""
        return web.Response(text=f"events_total {self.messages}\n")


async def main(bootstrap: str, topic: str, group: str, port: int, on_topic: int) -> None:
    """Serve the page and read."""
    reader = Reader(bootstrap, topic, group, on_topic)
    app = web.Application()
    app.router.add_get("/metrics", reader.metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await reader.run()


if __name__ == "__main__":
    address, source, group_id, web_port, count = sys.argv[1:]
    asyncio.run(main(address, source, group_id, int(web_port), int(count)))

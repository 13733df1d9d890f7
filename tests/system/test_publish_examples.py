"""The examples of publishing: does what they send arrive, readable, every event once?"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import orjson
import pytest

from stream.bus.connection import Connection
from stream.bus.tail import read_topic
from stream.bus.topics import TopicPlan, create_missing
from stream.kafka.install import find_java, install
from tests.builders import decode

EXAMPLES = Path(__file__).parents[2] / "examples" / "publish"


@pytest.fixture
def bootstrap(connection: Connection) -> str:
    asyncio.run(create_missing(connection, [TopicPlan("predictions", partitions=1)]))
    return connection.bootstrap


def published(connection: Connection) -> list[bytes]:
    """All messages on the topic."""

    async def work() -> list[bytes]:
        return [value async for value in read_topic(connection, "predictions", follow=False)]

    return asyncio.run(work())


def check(values: list[bytes], who: str) -> None:
    """A thousand events of one publisher, each with all its values, each once."""
    mine = [value for value in values if f'"{who}-'.encode() in value]
    decoded = decode(*mine)
    assert not decoded.dead
    [run] = decoded.runs
    assert (run.model, run.version) == ("arrival-delay", "3")
    assert len(set(run.ids.tolist())) == len(run.rows) == 1000
    assert {
        "feature.dep_delay",
        "feature.carrier",
        "prediction.score",
        "service.latency_ms",
    } == set(run.columns)


@pytest.mark.parametrize("who", ["driftline", "aiokafka", "confluent"])
def test_python_examples(connection: Connection, bootstrap: str, who: str) -> None:
    file = {"confluent": "with_confluent_kafka.py"}.get(who, f"with_{who}.py")
    subprocess.run([sys.executable, EXAMPLES / file, bootstrap], check=True, timeout=60)
    check(published(connection), who)


def test_the_java_example(connection: Connection, bootstrap: str) -> None:
    jars = install(lambda _: None)
    command = [find_java(), "-cp", f"{jars}/*", str(EXAMPLES / "Publish.java"), bootstrap]
    subprocess.run(command, check=True, timeout=120, stderr=subprocess.DEVNULL)
    check(published(connection), "java")


class Proxy(BaseHTTPRequestHandler):
    """Takes what Kafka's REST proxy would take."""

    values: list[bytes] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_right = self.path == "/topics/predictions"
        is_right &= self.headers["Content-Type"] == "application/vnd.kafka.json.v2+json"
        self.values.extend(orjson.dumps(record["value"]) for record in body["records"])
        self.send_response(200 if is_right else 415)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy() -> Iterator[str]:
    Proxy.values.clear()
    with HTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_curl_example(proxy: str) -> None:
    subprocess.run([EXAMPLES / "with_curl.sh", proxy], check=True, timeout=60)
    check(Proxy.values, "curl")

"""The embedded broker on a real Kafka: starting, keeping data, and ending with its parent."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from stream.broker import EmbeddedBroker, answers, free_port
from stream.bus.connection import Connection, check_reachable
from stream.bus.topics import TopicPlan, create_missing
from stream.errors import BusError
from tests.kafka_fixture import wait_until

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]

# Starts a broker, and a forked sibling that holds the other end of the keeper's pipe until its
# standard input ends; then says what the test must look for, and waits to be killed.
PARENT = """
import os, signal
from stream.broker import EmbeddedBroker
broker = EmbeddedBroker()
broker.start()
if os.fork() == 0:
    os.read(0, 1)
    os._exit(0)
print(broker.pid, broker.data_dir, flush=True)
signal.pause()
"""

FOREGROUND = """
import functools, sys
from stream.broker import run_foreground
say = functools.partial(print, flush=True)
run_foreground(None, int(sys.argv[1]), say)
say("ended")
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def python(source: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", source, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def send(bootstrap: str, topic: str, values: list[bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)


async def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(20):
        return [(await consumer.getone()).value for _ in range(count)]


async def create(bootstrap: str, topic: str) -> None:
    await create_missing(Connection(bootstrap), [TopicPlan(topic, 1)])


def test_a_started_broker_is_reachable(broker: EmbeddedBroker):
    asyncio.run(check_reachable(Connection(broker.bootstrap)))


def test_what_is_sent_comes_back_in_order(broker: EmbeddedBroker, topic_prefix: str):
    sent = [b"%d" % number for number in range(20)]

    async def round_trip() -> list[bytes]:
        await create(broker.bootstrap, topic_prefix)
        await send(broker.bootstrap, topic_prefix, sent)
        return await read(broker.bootstrap, topic_prefix, len(sent))

    assert asyncio.run(round_trip()) == sent


def test_starting_a_running_broker_changes_nothing(broker: EmbeddedBroker):
    pid = broker.pid
    broker.start()
    assert broker.pid == pid


def test_acknowledged_records_outlive_sigkill_at_the_same_address(tmp_path: Path):
    sent = [b"%d" % number for number in range(50)]
    with EmbeddedBroker(tmp_path / "kafka", durable=True) as broker:
        bootstrap, pid = broker.bootstrap, broker.pid
        asyncio.run(create(bootstrap, "kept"))
        asyncio.run(send(bootstrap, "kept", sent))
        broker.kill()
        assert pid is not None
        assert not is_alive(pid)
        broker.start()
        assert broker.bootstrap == bootstrap
        assert asyncio.run(read(bootstrap, "kept", len(sent))) == sent
    assert (tmp_path / "kafka").exists()


def test_the_broker_dies_with_a_parent_ended_by_sigkill():
    with python(PARENT) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        parent.kill()
        parent.wait()
        assert wait_until(lambda: not is_alive(int(pid)))
        assert wait_until(lambda: not Path(folder).exists())


def test_the_broker_in_the_foreground_ends_cleanly_on_sigterm():
    port = free_port()
    with python(FOREGROUND, str(port)) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        is_up = answers(port)
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert f"answers at 127.0.0.1:{port}" in first
    assert is_up
    assert rest.endswith("ended\n")
    assert not answers(port)


def test_a_temporary_data_folder_is_gone_after_a_failed_start():
    broker = EmbeddedBroker(settings={"num.io.threads": "none"})
    folder = broker.data_dir
    with pytest.raises(BusError, match=r"num\.io\.threads"):
        broker.start()
    assert not folder.exists()


def test_a_port_in_use_is_refused_by_its_number():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BusError, match=f"port {port} on 127.0.0.1 is taken"):
            EmbeddedBroker(port=port).start()


def test_a_free_port_that_is_taken_meanwhile_is_replaced():
    broker = EmbeddedBroker()
    chosen = broker.bootstrap
    host, _, port = chosen.rpartition(":")
    with socket.create_server((host, int(port))), broker:
        asyncio.run(check_reachable(Connection(broker.bootstrap)))
        assert broker.bootstrap != chosen


def test_a_broker_that_ended_by_itself_starts_again(tmp_path: Path):
    with EmbeddedBroker(tmp_path) as broker:
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGKILL)
        assert wait_until(lambda: not broker.is_running)
        bootstrap = broker.bootstrap
        broker.start()
        assert broker.bootstrap == bootstrap
        asyncio.run(check_reachable(Connection(bootstrap)))


def test_a_second_broker_on_the_same_data_is_refused(broker: EmbeddedBroker):
    with pytest.raises(BusError, match=f"{broker.data_dir} is in use by another broker"):
        EmbeddedBroker(broker.data_dir).start()
    assert answers(int(broker.bootstrap.rpartition(":")[2]))


def test_a_start_that_fails_tells_the_reason_and_what_the_log_says(tmp_path: Path):
    (tmp_path / "logs").mkdir()
    with (tmp_path / "logs" / ".lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)  # as another Kafka would
        with pytest.raises(BusError) as refused:
            EmbeddedBroker(tmp_path).start()
    first, *log = str(refused.value).splitlines()
    assert first.startswith("Kafka did not start (it ended after ")
    assert "Failed to acquire lock" in first
    assert any("ERROR" in line for line in log)


def test_a_free_port_is_no_outgoing_one():
    assert 20_000 <= free_port() < 32_768

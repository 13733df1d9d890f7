"""The shared Kafka of this run, and free ports for workers."""

from __future__ import annotations

import pytest

from stream.broker import free_port
from tests.kafka_fixture import broker, connection, topic_prefix

__all__ = ["broker", "connection", "topic_prefix"]


@pytest.fixture
def port() -> int:
    """A port for a worker's pages."""
    return free_port()

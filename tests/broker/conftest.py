"""The shared Kafka of this run."""

from __future__ import annotations

from tests.kafka_fixture import broker, connection, topic_prefix

__all__ = ["broker", "connection", "topic_prefix"]

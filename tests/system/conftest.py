"""The shared Kafka of this run, a test's own topics on it and its feed, free ports for workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.broker import EmbeddedBroker, free_port
from tests.conftest import SeededGenerator
from tests.kafka_fixture import broker, connection, topic_prefix
from tests.system.arena import Arena
from tests.system.cluster import Cluster
from tests.system.feed import Feed


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the whole matrix of faults to those who ask for it by its mark."""
    if "chaos" in str(config.getoption("markexpr")):
        return
    left = [item for item in items if item.get_closest_marker("chaos")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


__all__ = ["broker", "connection", "topic_prefix"]


@pytest.fixture
def port() -> int:
    """A port for a worker's pages."""
    return free_port()


@pytest.fixture
def arena(tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str) -> Arena:
    """Topics of this test's own on the shared broker."""
    return Arena(tmp_path, broker.bootstrap, topic_prefix)


@pytest.fixture
def cluster(broker: EmbeddedBroker) -> Cluster:
    """The shared broker, to be administered."""
    return Cluster(broker.bootstrap)


@pytest.fixture
def feed(rng: SeededGenerator) -> Feed:
    """Trouble of every kind."""
    return Feed(rng.seed)

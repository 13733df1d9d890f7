"""The shared Kafka of this run, and free ports for workers."""

from __future__ import annotations

import pytest

from stream.broker import free_port
from tests.kafka_fixture import broker, connection, topic_prefix


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

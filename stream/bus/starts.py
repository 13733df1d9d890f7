"""Starts: partitions that were just assigned in, where to begin reading each of them out.

In    a consumer, an admin client, a group; what the group committed with its metadata
Out   a `Start` per partition; records that were deleted before they were read, counted
Not   seeking (lane.py), what the metadata means (agents.py)

A broker that has just come back answers with errors, or with nothing, for a moment. An answer
without a partition is none: taking it for "nothing was committed" would read everything again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from mode.utils.logging import get_logger

from stream.clock import Clock
from stream.errors import RebalanceError

logger = get_logger(__name__)

PATIENCE_MS = 60_000  # with a broker that does not say where to start
PAUSE_S = 0.5


class Start(NamedTuple):
    """Where one partition begins.

    metadata  what was committed with the offset; "" if nothing was
    lost      records before the offset that were deleted before anybody read them
    """

    offset: int
    metadata: str
    lost: int


async def read_starts(
    consumer: AIOKafkaConsumer,
    admin: AIOKafkaAdminClient,
    group: str,
    assigned: Iterable[TopicPartition],
    clock: Clock,
) -> dict[TopicPartition, Start]:
    """Where to begin each partition; asks until the broker knows.

    Raises RebalanceError if it does not know in time.
    """
    wanted = sorted(assigned)
    started_ms = clock.monotonic_ms()
    while wanted:
        try:
            committed = await admin.list_consumer_group_offsets(group, partitions=wanted)
            if all(tp in committed for tp in wanted):
                beginnings = await consumer.beginning_offsets(wanted)
                ends = await consumer.end_offsets(wanted)
                return {tp: _start(tp, committed[tp], beginnings[tp], ends[tp]) for tp in wanted}
            why: object = "no answer for some partitions"
        # The admin client looks for the reason of an error where old answers have none.
        except (KafkaError, OSError, AttributeError) as error:
            why = repr(error)
        if clock.monotonic_ms() - started_ms > PATIENCE_MS:
            raise RebalanceError(f"group {group}: the broker does not say where to start: {why}")
        logger.warning("group %s: where to start is not known yet: %s", group, why)
        await asyncio.sleep(PAUSE_S)
    return {}


def _start(tp: TopicPartition, committed: Any, beginning: int, end: int) -> Start:
    offset, metadata = committed
    if offset < 0:
        return Start(beginning, "", 0)
    if offset > end:
        text = "%s: committed offset %d lies beyond the end %d: the topic was made anew"
        logger.error(text, tp, offset, end)
        return Start(beginning, "", 0)
    if offset < beginning:
        lost = beginning - offset
        logger.error("%s: %d records were deleted before they were read", tp, lost)
        # The metadata stay true: what was sent before the hole was sent.
        return Start(beginning, metadata, lost)
    return Start(offset, metadata, 0)


def lost_before(first_offset: int, expected: int, beginnings: Mapping[Any, int], tp: Any) -> int:
    """Of the hole between two records, what was deleted; transactions leave holes as well."""
    return max(0, min(beginnings[tp], first_offset) - expected)

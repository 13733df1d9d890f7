"""Lane events: what a lane says to its agent, and about itself.

In    nothing
Out   Assigned, Batch, Idle, Revoked, in this order for a partition; `LaneFacts` for whoever asks
Not   where they come from (lane.py), what is done about them (agents.py)
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from stream.bus.raw import Bomb
from stream.detect.ingest.blocks import Block
from stream.detect.ingest.events import Messages


class Assigned(NamedTuple):
    """This worker has the partition now, from `offset` on.

    metadata  what was committed with the offset; "" if nothing was
    lost      records before the offset that were deleted before anybody read them
    tenure    a number that is near to none of any other time that a worker had the partition
    """

    partition: int
    partitions: int
    offset: int
    metadata: str
    lost: int = 0
    tenure: int = 0


class Batch(NamedTuple):
    """Records of one partition in offset order.

    messages      a block if the lane was asked for raw records, unless something is unusual
    first_offset  of the records, or of what is not among them
    lag           records behind the last one
    lost          records just before the first that were deleted before anybody read them
    bombs         compressed batches that are not unpacked: they would be too large
    """

    partition: int
    messages: Messages | Block
    first_offset: int
    lag: int
    lost: int = 0
    bombs: tuple[Bomb, ...] = ()


class Idle(NamedTuple):
    """The partition has been read to its end and nothing came for elapsed_ms more."""

    partition: int
    elapsed_ms: int


class Revoked(NamedTuple):
    """Commit what is safe, forget the partition, then call `done.set()`."""

    partition: int
    done: asyncio.Event


LaneEvent = Assigned | Batch | Idle | Revoked


class LaneFacts(NamedTuple):
    """How a lane does at this moment; durations in milliseconds.

    lags           messages not read yet, by partition
    stalled_ms     how long a partition has had something to read without any of it being read
    busy_ms        how long the agent has been at its present event
    unanswered_ms  since the broker answered a fetch of the partition that waits longest
    committed_ms   since the last commit; None before the first
    """

    topic: str
    lags: dict[int, int]
    stalled_ms: int
    busy_ms: int
    unanswered_ms: int
    committed_ms: int | None

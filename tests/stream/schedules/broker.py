"""Broker: a Kafka of lists, for schedules that a real one would need days for.

In    records, commits with the generation of who commits
Out   logs with offsets and arrival times; the last accepted commit of each partition
Not   a clock of its own (world.py moves it), consumer groups beyond fencing, compaction
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Record(NamedTuple):
    """One record of a partition; its offset is its place."""

    value: bytes
    arrival_ms: int


class Commit(NamedTuple):
    """What a group knows of a partition; progress stands for the commit's metadata."""

    offset: int
    progress: Any


@dataclass(slots=True)
class Topic:
    """One list of records per partition."""

    partitions: list[list[Record]]

    @classmethod
    def of(cls, partitions: int) -> Topic:
        return cls([[] for _ in range(partitions)])


@dataclass(slots=True)
class Group:
    """One consumer group on one topic.

    Each partition has its own generation, which is harder on whoever commits than Kafka is: there
    a member is fenced with all its partitions at once.
    """

    generations: list[int]
    commits: list[Commit | None]
    accepted: list[tuple[int, int]] = field(default_factory=list)  # partition, offset, in order

    @classmethod
    def of(cls, partitions: int) -> Group:
        return cls([0] * partitions, [None] * partitions)

    def commit(self, partition: int, generation: int, commit: Commit) -> bool:
        """Whether it was accepted: only from the partition's owner of today."""
        if generation != self.generations[partition]:
            return False
        self.commits[partition] = commit
        self.accepted.append((partition, commit.offset))
        return True

    def reassign(self, partition: int) -> int:
        """A new owner's generation; all older ones are fenced from now on."""
        self.generations[partition] += 1
        return self.generations[partition]

"""Blocks: the messages of one fetch, as positions in one buffer.

In    separate values, or a buffer that holds them all already
Out   `Block`, which kernels read without an object per message
Not   what the values say (fast.py)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.memory import PADDING
from stream.detect.ingest.events import Messages

SLICE_BYTES, SLICE_MESSAGES = 1 << 23, 16_384


class Block(NamedTuple):
    """What one fetch brought of one partition, in offset order.

    data          (bytes + PADDING,) uint8; what lies behind a value must be readable, not its own
    starts, ends  (n,) int64; the end of a null value lies before its start
    offsets       (n,) int64
    arrivals_ms   (n,) int64, the record's timestamp
    """

    topic: str
    partition: int
    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    offsets: NDArray[np.int64]
    arrivals_ms: NDArray[np.int64]

    def value(self, at: int) -> bytes | None:
        """One message."""
        start, end = int(self.starts[at]), int(self.ends[at])
        return self.data[start:end].tobytes() if end >= start else None

    def raw(self, offset: int, most: int) -> bytes:
        """The first bytes of the message at an offset."""
        at = int(np.searchsorted(self.offsets, offset))
        start, end = int(self.starts[at]), int(self.ends[at])
        return self.data[start : max(start, min(end, start + most))].tobytes()

    def halves(self) -> tuple[Block, Block]:
        """The first and the second half."""
        half = len(self.offsets) // 2
        return self.part(slice(0, half)), self.part(slice(half, None))

    def since(self, offset: int) -> Block:
        """The messages from an offset on."""
        first = int(np.searchsorted(self.offsets, offset))
        return self.part(slice(first, None)) if first else self

    def chosen(self, which: NDArray[np.intp]) -> Messages:
        """Some of the messages as separate values."""
        return Messages(
            self.topic,
            self.partition,
            [self.value(at) for at in which.tolist()],
            self.offsets[which].tolist(),
            self.arrivals_ms[which].tolist(),
        )

    def part(self, part: slice) -> Block:
        """Some messages that follow one another."""
        return self._replace(
            starts=self.starts[part],
            ends=self.ends[part],
            offsets=self.offsets[part],
            arrivals_ms=self.arrivals_ms[part],
        )


def slices(messages: Messages | Block) -> Iterator[Block]:
    """The messages in pieces of like size that take some milliseconds each."""
    block = messages if isinstance(messages, Block) else block_of(messages)
    sizes = np.maximum(block.ends - block.starts, 0)
    ends, most = np.cumsum(sizes), int(sizes.max(initial=0))
    pieces = max(1, -(-int(sizes.sum()) // SLICE_BYTES), -(-len(ends) // SLICE_MESSAGES))
    # A message more, or what is cut off at each border makes one more small piece.
    most_bytes = min(SLICE_BYTES, int(sizes.sum()) // pieces + most)
    most_messages = -(-len(ends) // pieces)
    first, sent = 0, 0
    while first < len(ends):
        last = int(np.searchsorted(ends, sent + most_bytes, "right"))
        last = max(first + 1, min(last, first + most_messages))
        yield block.part(slice(first, last))
        first, sent = last, int(ends[last - 1])


def block_of(messages: Messages) -> Block:
    """Separate values joined into a block."""
    values: Sequence[bytes | None] = messages.values
    try:
        sizes = np.fromiter(map(len, values), np.int64, len(values))  # type: ignore[arg-type]
        data = b"".join((*values, bytes(PADDING)))  # type: ignore[arg-type]
        ends = np.cumsum(sizes)
        starts = ends - sizes
    except TypeError:  # there are nulls
        is_null = np.array([value is None for value in values], np.bool_)
        joined = block_of(messages._replace(values=[value or b"" for value in values]))
        return joined._replace(ends=np.where(is_null, joined.starts - 1, joined.ends))
    return Block(
        messages.topic,
        messages.partition,
        np.frombuffer(data, np.uint8),
        starts,
        ends,
        np.array(messages.offsets, np.int64),
        np.array(messages.arrivals_ms, np.int64),
    )

"""Losses: records that nobody will read in, their dead letters out.

In    a batch that is not unpacked, or how many records were deleted before they were read
Out   one `DeadLetter` for all of them, with their number
Not   finding them (raw.py, starts.py), sending the letter (agents.py)
"""

from __future__ import annotations

from stream.bus.raw import MAX_UNPACKED_BYTES, Bomb
from stream.detect.ingest.codec import DeadLetter


def bomb_letter(bomb: Bomb) -> DeadLetter:
    """A compressed batch that is not unpacked."""
    most = MAX_UNPACKED_BYTES >> 20
    detail = f"{bomb.records} records compressed together are more than {most} MiB unpacked"
    return DeadLetter(
        reason="too_large",
        field=None,
        detail=detail,
        offset=bomb.offset,
        raw=b"",
        count=bomb.records,
    )


def loss_letter(offset: int, lost: int) -> DeadLetter:
    """The dead letter of messages that were deleted before they were read."""
    first = offset - lost
    detail = f"{lost} messages, offsets {first} to {offset - 1}, were deleted before they were read"
    return DeadLetter(reason="data_loss", field=None, detail=detail, offset=first, raw=b"")

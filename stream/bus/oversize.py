"""Oversize: records in; the same out, but a dead letter in the place of each that is too large.

In    what a step of an agent wants to send
Out   what the broker takes, and how many records it would not have taken
Not   keeping records small (`limits` of the configuration)

The broker refuses a record above `LARGEST_BYTES` however often it is sent: whoever waits for its
acknowledgement waits for ever, and everything behind it. With thousands of features in a model a
part or a window can be that large.
"""

from __future__ import annotations

from collections.abc import Sequence

from stream.bus.producer import LARGEST_BYTES, Record
from stream.detect.ingest.codec import DeadLetter, dead_letter

MOST_BYTES = LARGEST_BYTES - 1_024  # the rest is for what a batch says about itself
REASON = "too_large"


def fitting(
    records: Sequence[Record], letters: str, partition: int, offset: int, now: str
) -> tuple[list[Record], int]:
    """What can be sent, and how many were left out.

    letters    the topic of dead letters
    partition  and offset of the last message that the records came of; now is RFC 3339
    """
    found, refused = list[Record](), 0
    for record in records:
        size = len(record.key) + len(record.value or b"")
        if size <= MOST_BYTES:
            found.append(record)
            continue
        detail = (
            f"a record of {size} bytes with the key {record.key[:200]!r}: {LARGEST_BYTES} are the "
            "most; lower limits.max_feature_names"
        )
        letter = DeadLetter(reason=REASON, field=None, detail=detail, offset=offset, raw=b"")
        value = dead_letter(letter, record.topic, partition, now)
        found.append(Record(letters, REASON.encode(), value))
        refused += 1
    return found, refused

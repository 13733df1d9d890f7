"""Is a record that no broker takes told of instead of sent, and are the others sent?"""

from __future__ import annotations

import orjson

from stream.bus.oversize import MOST_BYTES, fitting
from stream.bus.producer import Record

NOW = "2026-11-21T12:00:00Z"


def test_a_record_that_is_too_large_becomes_a_dead_letter_in_its_place() -> None:
    fits = Record("partials", b"k", bytes(MOST_BYTES - 1), 3)
    large = Record("partials", b"key", bytes(MOST_BYTES - 2), 3)
    deleted = Record("partials", b"k", None, 1)
    records, refused = fitting([fits, large, deleted], "dead-letters", 2, 77, NOW)
    assert refused == 1
    assert [records[0], records[2]] == [fits, deleted]
    letter = orjson.loads(records[1].value or b"")
    assert (records[1].topic, records[1].key, records[1].partition) == (
        "dead-letters", b"too_large", None,
    )  # fmt: skip
    assert (letter["reason"], letter["topic"]) == ("too_large", "partials")
    assert (letter["partition"], letter["offset"], letter["time"]) == (2, 77, NOW)
    assert "8387585 bytes" in letter["detail"]
    assert "'key'" in letter["detail"]

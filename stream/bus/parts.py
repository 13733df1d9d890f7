"""Parts: what an ingestor hands out in, records to send out; and messages of partials read again.

In    an `Intake`; names of topics; messages of the partials topic
Out   records in order; a partial, a marker or what is wrong per message
Not   sending and fetching them (producer.py, lane.py), what is in the bytes (detect/partials.py)

Both take half a millisecond per partial, and a pane has one of every stream: call them in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from stream.bus.producer import Record, partition_of
from stream.detect.checks import problem
from stream.detect.ingest.codec import dead_letter
from stream.detect.ingest.ingestor import Intake
from stream.detect.partials import Marker, Partial, pack, pack_marker, read
from stream.detect.states import Stream
from stream.errors import FormatError


def part_records(
    intake: Intake, topics: Mapping[str, str], partition: int, partitions: int, now: str
) -> list[Record]:
    """Partials as records, each on the partition of its stream; then the marker, dead letters."""
    to, records = topics["partials"], []
    for partial in intake.partials:
        key = stream_key(partial.stream)
        records.append(Record(to, key, pack(partial), partition_of(key, partitions)))
    if intake.marker is not None:
        value = pack_marker(intake.marker)
        records += [Record(to, b"", value, each) for each in range(partitions)]
    for letter in intake.dead:
        value = dead_letter(letter, topics["predictions"], partition, now)
        records.append(Record(topics["dead-letters"], letter.reason.encode(), value))
    return records


def stream_key(stream: Stream) -> bytes:
    """The key of a stream's partials."""
    return orjson.dumps(list(stream))


def read_parts(
    values: Sequence[bytes | None], pane_ms: int
) -> list[Partial | Marker | FormatError]:
    """What stands in messages of the partials topic, or what is wrong with them."""
    found = list[Partial | Marker | FormatError]()
    for value in values:
        try:
            item = read(value or b"")
        except FormatError as error:
            found.append(error)
            continue
        wrong = problem(item, pane_ms)
        found.append(item if wrong is None else FormatError(f"partial contradicts itself: {wrong}"))
    return found

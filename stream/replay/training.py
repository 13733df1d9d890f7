"""Training: files of training events in, runs of columns for a reference out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stream.detect.ingest.columns import Columns
from stream.detect.ingest.events import Messages
from stream.detect.ingest.fast import FastReader
from stream.detect.specs import LimitSpec
from stream.replay.sources import Source


def read_runs(sources: Iterable[Source], limits: LimitSpec) -> Iterator[tuple[Columns | None, int]]:
    """Each run of events, and (None, refused events) per chunk that has some."""
    reader = FastReader(limits)
    for source in sources:
        for chunk in source:
            values = [message.value for message in chunk]
            never_ms = [2**62] * len(chunk)  # training data may carry any event time
            messages = Messages(source.name, 0, values, range(len(chunk)), never_ms)
            decoded = reader.read(messages)
            yield from ((run, 0) for run in decoded.runs)
            if decoded.dead:
                yield None, sum(letter.count for letter in decoded.dead)

"""Generated: a scenario in, the same messages that a file of it would give out."""

from __future__ import annotations

from collections.abc import Iterator

from stream.detect.times import time_ms
from stream.replay.scenarios import ScenarioSpec, generate
from stream.replay.sources import Message, Source

CHUNK = 4_096


class GeneratedSource(Source):
    """The predictions of a scenario; labels are left out."""

    def __init__(self, spec: ScenarioSpec, *, name: str) -> None:
        super().__init__(name, None, "events")
        self._spec = spec

    def __iter__(self) -> Iterator[list[Message]]:
        chunk: list[Message] = []
        for kind, line in generate(self._spec):
            if kind == "prediction":
                chunk.append(_message(line))
                if len(chunk) == CHUNK:
                    yield chunk
                    chunk = []
        if chunk:
            yield chunk


def _message(line: bytes) -> Message:
    # The generator writes `{"id":"e000000001",…,"arrival_time":"…",…}`, always in this order.
    arrival = line[line.index(b'"arrival_time":"') + 16 :]
    return Message(line, time_ms(arrival[: arrival.index(b'"')].decode()), line[7:17])

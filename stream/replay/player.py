"""Player: recorded messages in; windows, alerts and dead letters out, without a broker.

In    chunks of messages in the order they came
Out   `Played` per chunk, and a last one when there are no more
Not   Kafka: the same detector runs behind one source partition and one partition of partials
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stream.detect.detector import Detector
from stream.detect.ingest.codec import DeadLetter
from stream.detect.ingest.events import Messages
from stream.detect.ingest.ingestor import Intake
from stream.detect.judge.letters import orphan_letter
from stream.detect.partials import Marker, Partial
from stream.replay.sources import Message


@dataclass(slots=True)
class Played:
    """What a chunk of messages brought about."""

    windows: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    messages: int = 0


def play(
    chunks: Iterable[list[Message]],
    detector: Detector,
    *,
    topic: str,
    now_ms: Callable[[], int],
) -> Iterator[Played]:
    """Run messages through the detector; after the last one every window closes.

    now_ms  the arrival time of messages that carry none
    """
    ingestor, judge = detector.ingestor(0, 1), detector.judge(topic=topic)
    offset, items = 0, 0

    def judged(intake: Intake, messages: int) -> Played:
        nonlocal items
        sent: list[Partial | Marker] = [
            *intake.partials,
            *([intake.marker] if intake.marker else []),
        ]
        verdicts = judge.add(list(enumerate(sent, items)))
        items += len(sent)
        late = [orphan_letter(orphan, items) for orphan in verdicts.orphans]
        return Played(
            verdicts.windows, verdicts.alerts, intake.dead + late, intake.counted, messages
        )

    for chunk in chunks:
        came_ms = now_ms()
        arrivals = [came_ms if m.arrival_ms is None else m.arrival_ms for m in chunk]
        offsets = range(offset, offset + len(chunk))
        offset += len(chunk)
        messages = Messages(topic, 0, [m.value for m in chunk], offsets, arrivals)
        yield judged(ingestor.add(messages), len(chunk))
    yield judged(ingestor.finish(), 0)

"""Detector: messages in; windows, alerts and dead letters out; driven alike by agents and replay.

In    a `DetectorSpec`, and a way to look up references
Out   an `Ingestor` per source partition and a `Judge` per partition of the partials topic

The two halves meet only through partials, so they can run in one process or in many.
"""

from __future__ import annotations

from collections.abc import Callable

from stream.detect.ingest.ingestor import Ingestor, Sketchbook
from stream.detect.ingest.windows import Progress
from stream.detect.judge.judge import Judge, JudgeProgress
from stream.detect.references import Reference
from stream.detect.specs import DetectorSpec

ReferenceOf = Callable[[str, str], Reference | None]  # by model and version


class Detector:
    """Makes the two halves under one spec."""

    def __init__(self, spec: DetectorSpec, reference_of: ReferenceOf) -> None:
        self.spec = spec
        self._reference_of = reference_of
        self._sketchbook = Sketchbook(spec, reference_of)

    def ingestor(
        self,
        partition: int,
        partitions: int,
        *,
        next_offset: int = 0,
        progress: Progress | None = None,
    ) -> Ingestor:
        """The ingest side of one of the source topic's partitions, from next_offset on."""
        return Ingestor(
            self.spec,
            self._sketchbook,
            partition=partition,
            partitions=partitions,
            next_offset=next_offset,
            progress=progress,
        )

    def judge(
        self,
        *,
        topic: str = "predictions",
        partitions: int = 1,
        next_offset: int = 0,
        progress: JudgeProgress | None = None,
    ) -> Judge:
        """The judge side of one of the partials topic's partitions, from next_offset on."""
        return Judge(
            self.spec,
            self._reference_of,
            topic=topic,
            partitions=partitions,
            next_offset=next_offset,
            progress=progress,
        )

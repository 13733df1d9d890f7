"""Detector: messages in; windows, alerts and dead letters out; driven alike by agents and replay.

In    a `DetectorSpec`, and a way to look up references
Out   an `Ingestor` per source partition and a `Judge` per partition of the partials topic

The two halves meet only through partials, so they can run in one process or in many.
"""

from __future__ import annotations

from collections.abc import Callable

from stream.detect.configurations import Configurations
from stream.detect.ingest.ingestor import Ingestor, Sketchbook
from stream.detect.ingest.windows import Progress
from stream.detect.judge.judge import Judge, JudgeProgress, ReferenceById
from stream.detect.judge.records import Memory
from stream.detect.references import Reference
from stream.detect.specs import DetectorSpec

ReferenceOf = Callable[[str, str], Reference | None]  # by model and version


class Detector:
    """Makes the two halves under the same configurations.

    configs          one that is in force for ever, or all there are
    reference_of     today's reference, under which new panes are counted
    reference_by_id  also one that panes were counted under before; only today's, and those it says
                     it replaced, if not given
    """

    def __init__(
        self,
        configs: DetectorSpec | Configurations,
        reference_of: ReferenceOf,
        reference_by_id: ReferenceById | None = None,
    ) -> None:
        self.configs = configs if isinstance(configs, Configurations) else Configurations(configs)
        self._reference_of = reference_of
        self.reference_by_id = reference_by_id or self._in_force_once
        self._sketchbook = Sketchbook(self.configs, reference_of)

    def _in_force_once(self, model: str, version: str, id_: str) -> Reference | None:
        reference = self._reference_of(model, version)
        while reference is not None and reference.id != id_:
            reference = reference.before
        return reference

    def ingestor(
        self,
        partition: int,
        partitions: int,
        *,
        next_offset: int = 0,
        progress: Progress | None = None,
        beat: int = 0,
    ) -> Ingestor:
        """The ingest side of one of the source topic's partitions, from next_offset on."""
        return Ingestor(
            self._sketchbook,
            partition=partition,
            partitions=partitions,
            next_offset=next_offset,
            progress=progress,
            beat=beat,
        )

    def judge(
        self,
        *,
        topic: str = "predictions",
        partitions: int = 1,
        next_offset: int = 0,
        progress: JudgeProgress | None = None,
        memory: Memory | None = None,
    ) -> Judge:
        """The judge side of one of the partials topic's partitions, from next_offset on."""
        return Judge(
            self.configs,
            self.reference_by_id,
            topic=topic,
            partitions=partitions,
            next_offset=next_offset,
            progress=progress,
            memory=memory,
        )

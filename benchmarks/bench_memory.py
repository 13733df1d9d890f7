"""Memory: what many models at low traffic take in one process.

In    nothing; events of many models, a few each, without reference
Out   rows in MiB of resident memory, beyond what an empty process takes: of the ingest side with
      one pane of each model open; of both sides after some panes of a minute, one of them judged
Not   the bytes of one feature and pane (panes.py)

Each case runs in a process of its own, or the first would leave memory to the second.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson

from benchmarks.measuring import Row, alone
from benchmarks.processes import ROOT
from stream.detect.detector import Detector
from stream.detect.ingest.events import Messages
from stream.detect.ingest.ingestor import Intake
from stream.detect.partials import pack, pack_marker, read
from stream.detect.specs import DetectorSpec, LimitSpec

CASES = {  # models, features of each, events of each in a pane, panes
    "memory/1000_models_of_100_features": (1_000, 100, 5, 1),
    "memory/10000_models_of_10_features": (10_000, 10, 5, 1),
    "memory/1000_models_of_100_features_judged": (1_000, 100, 2, 4),
}
FETCH = 1_000
START_MS = 1_741_000_020_000  # the beginning of a pane


def rows(quick: bool = False) -> list[Row]:
    """Resident memory of each case."""
    by = 20 if quick else 1
    return [
        alone(name, [_measured(models // by, *more)], "MiB")
        for name, (models, *more) in CASES.items()
    ]


def _measured(*case: int) -> float:
    words = [sys.executable, "-m", "benchmarks.bench_memory", *map(str, case)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main(models: int, features: int, events: int, panes: int) -> None:
    """Fill a detector, and print what it took in MiB."""
    spec = DetectorSpec(limits=LimitSpec(max_models=models + 1))
    detector = Detector(spec, lambda _model, _version: None)
    ingestor, judging = detector.ingestor(0, 1), _Judging(detector)
    ingestor.add(_messages(0, START_MS, ["warm"], features, np.random.default_rng(0)))  # compiles
    before = _resident_mib()
    rng, offset = np.random.default_rng(1), 1
    for at in range(panes * events):
        at_ms = START_MS + at * spec.time.pane_ms // events
        for first in range(0, models, FETCH):
            names = [f"model-{i:05d}" for i in range(first, min(models, first + FETCH))]
            judging.take(ingestor.add(_messages(offset, at_ms, names, features, rng)))
            offset += len(names)
    print(_resident_mib() - before)


class _Judging:
    """A judge beside the ingestor, as in a worker."""

    def __init__(self, detector: Detector) -> None:
        self._judge, self._offset = detector.judge(), 0

    def take(self, intake: Intake) -> None:
        """Judge what was handed out, by way of its bytes."""
        packed = [pack(partial) for partial in intake.partials]
        packed += [pack_marker(intake.marker)] if intake.marker else []
        for raw in packed:
            self._judge.add([(self._offset, read(raw))])
            self._offset += 1


def _messages(
    offset: int, at_ms: int, names: list[str], features: int, rng: np.random.Generator
) -> Messages:
    rows = rng.normal(10.0, 3.0, (len(names), features)).round(3).tolist()
    values = [
        orjson.dumps(
            {
                "id": f"e{offset + i}",
                "model": name,
                "ts": at_ms + i % 1000,
                "features": {f"x{at:03d}": value for at, value in enumerate(rows[i])},
            }
        )
        for i, name in enumerate(names)
    ]
    offsets = range(offset, offset + len(names))
    return Messages("predictions", 0, values, offsets, [2**62] * len(names))


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

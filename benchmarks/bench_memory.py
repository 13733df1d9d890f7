"""Memory: what many models at low traffic take in one process.

In    nothing; events of many models, a few each, all in one open pane
Out   rows in MiB of resident memory of the ingest side, with one pane of each model open; what an
      empty process takes is taken off
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
from stream.detect.specs import DetectorSpec, LimitSpec

CASES = {  # models, features of each, events of each
    "memory/1000_models_of_100_features": (1_000, 100, 5),
    "memory/10000_models_of_10_features": (10_000, 10, 5),
}
FETCH = 1_000
START_MS = 1_741_000_020_000  # the beginning of a pane


def rows(quick: bool = False) -> list[Row]:
    """Resident memory of each case."""
    by = 20 if quick else 1
    return [
        alone(name, [_measured(models // by, features, events)], "MiB")
        for name, (models, features, events) in CASES.items()
    ]


def _measured(models: int, features: int, events: int) -> float:
    words = [sys.executable, "-m", "benchmarks.bench_memory", *map(str, (models, features, events))]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main(models: int, features: int, events: int) -> None:
    """Fill a detector, and print what it took in MiB."""
    spec = DetectorSpec(limits=LimitSpec(max_models=models + 1))
    detector = Detector(spec, lambda _model, _version: None)
    ingestor = detector.ingestor(0, 1)
    ingestor.add(_messages(0, ["warm"], features, np.random.default_rng(0)))  # compiles
    before = _resident_mib()
    rng, offset = np.random.default_rng(1), 1
    for _ in range(events):
        for first in range(0, models, FETCH):
            names = [f"model-{i:05d}" for i in range(first, min(models, first + FETCH))]
            ingestor.add(_messages(offset, names, features, rng))
            offset += len(names)
    print(_resident_mib() - before)


def _messages(offset: int, names: list[str], features: int, rng: np.random.Generator) -> Messages:
    rows = rng.normal(10.0, 3.0, (len(names), features)).round(3).tolist()
    values = [
        orjson.dumps(
            {
                "id": f"e{offset + i}",
                "model": name,
                "ts": START_MS + i % 1000,
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

"""Judged: counts of ten bins in, the finding of one rule out, window after window of one stream.

In    counts of ten even bins; a model whose first rule is judged
Out   findings, by the real rules and the real memory of windows that are over
Not   sketches, alerts (builders.py has whole pipelines)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.detect.judge import rules
from stream.detect.judge.findings import Finding, Reading
from stream.detect.judge.gather import Due, Window
from stream.detect.judge.measures import Comparison, measure_bins, weigh
from stream.detect.judge.past import Past
from stream.detect.specs import ModelSpec
from stream.detect.states import WindowState
from tests.builders import M

HOUR_MS = 3_600_000
EVEN = np.full(10, 0.1)


class Stream:
    """Windows of one stream, judged one after another on counts of ten bins."""

    def __init__(self, model: ModelSpec, past: Past | None = None) -> None:
        self.model, self.past, self.at = model, past or Past(), 0

    def judge(self, counts: Any, *, revision: int = 0, is_kept: bool = True) -> Finding:
        now = np.append(np.asarray(counts, float), [0.0])
        labels = [str(i) for i in range(10)] + ["missing"]
        before = np.append(np.full(10, 2_000.0), 0.0)
        n, m = int(now.sum()), int(before.sum())
        found = Comparison("feature.x", "number", labels, before, now, n, m)
        if n >= 30:
            measure_bins(found)
        known = self.past.noise(HOUR_MS, "training", found)
        weigh(found, known._replace(caution=1.0, is_learnt=True))
        start_ms = self.at * HOUR_MS
        due = Due(Window(M, HOUR_MS, start_ms), revision, WindowState(events=n), {})
        reading = Reading(due, {}, {}, {"training": {"feature.x": found}}, self.past)
        [finding] = rules.apply(self.model.rules[0], self.model, reading)
        if is_kept:
            self.past.learn(HOUR_MS, start_ms + HOUR_MS, reading.comparisons)
            self.at += 1
        return finding

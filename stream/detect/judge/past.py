"""Past: what the judge of a stream knows from windows that are over, beside its alerts.

In    the comparisons of each window, in event time
Out   the noise of each feature; half-filled wide windows; evidence of sequential rules
Not   what follows from it (noise.py, widening.py, sequential.py); alerts (alerts.py)

Everything here is small and has the form of JSON, for it has to outlive restarts. A window is
learnt once: neither a revision nor a window that is judged again after a restart changes anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.detect.judge import noise
from stream.detect.judge.measures import Comparison
from stream.detect.judge.noise import Counts, Learnt, Noise, of_neighbours
from stream.detect.times import NEVER_MS

MOST_BINS = 64  # kept of a feature; what is rarer in the reference is one bin
PREVIOUS = "previous"  # the reference that is the window before: nothing of it has to be kept


@dataclass(slots=True)
class Trace:
    """How a feature varies from window to window of one length, on the bins of one reference.

    near, far  from each window beside the last one, and beside the last but one
    last       counts of these two on these bins, the older one first; fewer if there are none
    """

    near: Learnt = field(default_factory=Learnt)
    far: Learnt = field(default_factory=Learnt)
    last: list[list[float]] = field(default_factory=list)

    def noise(self, freedom: int) -> Noise:
        """The noise to judge the next window with."""
        return of_neighbours(self.near, self.far, freedom)

    def learn(self, comparison: Comparison, is_beside_previous: bool) -> None:
        """Take one window in."""
        freedom = comparison.freedom
        if is_beside_previous:  # neighbours are what is judged: no more has to be known of them
            beside = comparison.statistic / freedom if freedom else None
            for learnt in (self.near, self.far):
                _teach(learnt, beside, freedom)
            return
        often, now = coarse_counts(comparison)
        if self.last and len(self.last[-1]) != now.size:
            self.last = []
        if self.last:
            _teach(self.near, noise.ratio(np.array(self.last[-1]), now, often), freedom)
        if len(self.last) == 2:
            _teach(self.far, noise.ratio(np.array(self.last[0]), now, often), freedom)
        self.last = [*self.last[-1:], now.tolist()]


def _teach(learnt: Learnt, ratio: float | None, freedom: int) -> None:
    if ratio is not None:
        learnt.add(ratio, freedom)


@dataclass(slots=True)
class Block:
    """Consecutive windows that are judged together: since when, how many, and their counts."""

    start_ms: int
    windows: int
    counts: list[float]


@dataclass(slots=True)
class Evidence:
    """Of a sequential rule: its logarithm, and since when it grows."""

    log: float = 0.0
    since_ms: int = NEVER_MS


@dataclass(slots=True)
class Past:
    """Of one stream.

    learnt_to   by window length, the end of the last window that was learnt
    references  ids by name: counts on the bins of one mean nothing on those of another
    traces      by window length, reference and feature
    blocks      by rule and feature, and `evidence` likewise
    sizes       of windows that can fire, and that find what they should, by what they depend on:
                computed once, and kept because the reference that they were computed with may move
    """

    learnt_to: dict[int, int] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    traces: dict[tuple[int, str, str], Trace] = field(default_factory=dict)
    blocks: dict[tuple[str, str], Block] = field(default_factory=dict)
    evidence: dict[tuple[str, str], Evidence] = field(default_factory=dict)
    sizes: dict[tuple[object, ...], tuple[int | None, int | None]] = field(default_factory=dict)

    def is_new(self, length_ms: int, end_ms: int) -> bool:
        """Whether a window was not learnt yet."""
        return end_ms > self.learnt_to.get(length_ms, NEVER_MS)

    @property
    def last_ms(self) -> int:
        """The end of the last window of any length."""
        return max(self.learnt_to.values(), default=NEVER_MS)

    def follow(self, references: Mapping[str, str]) -> None:
        """These references are used now, by name their id."""
        kept = {name: id_ for name, id_ in references.items() if name != PREVIOUS}
        if kept == self.references:
            return
        self.references = kept
        self.blocks.clear()
        self.evidence.clear()
        self.sizes.clear()
        for trace in self.traces.values():
            trace.last = []

    def drop(self, rules: Collection[str]) -> None:
        """Forget what was gathered for rules that are others now, or gone."""
        self.blocks = {key: block for key, block in self.blocks.items() if key[0] not in rules}
        self.evidence = {key: e for key, e in self.evidence.items() if key[0] not in rules}

    def noise(self, length_ms: int, reference: str, comparison: Comparison) -> Noise:
        """The noise to judge a feature with."""
        trace = self.traces.get((length_ms, reference, comparison.feature), Trace())
        return trace.noise(comparison.freedom)

    def learn(
        self, length_ms: int, end_ms: int, comparisons: Mapping[str, Mapping[str, Comparison]]
    ) -> None:
        """A window is judged: keep what the next ones need. comparisons: by reference, feature."""
        if not self.is_new(length_ms, end_ms):
            return
        self.learnt_to[length_ms] = end_ms
        for name, compared in comparisons.items():
            for feature, comparison in compared.items():
                if "psi" in comparison.values:
                    trace = self.traces.setdefault((length_ms, name, feature), Trace())
                    trace.learn(comparison, name == PREVIOUS)

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "learnt_to": [list(item) for item in self.learnt_to.items()],
            "references": self.references,
            "traces": [
                [*key, _listed(t.near), _listed(t.far), t.last]
                for key, t in self.traces.items()
            ],
            "blocks": [
                [*key, b.start_ms, b.windows, b.counts] for key, b in self.blocks.items()
            ],
            "evidence": [[*key, e.log, e.since_ms] for key, e in self.evidence.items()],
            "sizes": [[list(key), *found] for key, found in self.sizes.items()],
        }  # fmt: skip

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Past:
        """What `to_json` gave."""
        return cls(
            learnt_to={int(length): int(end) for length, end in body["learnt_to"]},
            references=dict(body["references"]),
            traces={
                (a, b, c): Trace(Learnt(*near), Learnt(*far), last)
                for a, b, c, near, far, last in body["traces"]
            },
            blocks={(a, b): Block(*rest) for a, b, *rest in body["blocks"]},
            evidence={(a, b): Evidence(*rest) for a, b, *rest in body["evidence"]},
            sizes={tuple(key): (fires, finds) for key, fires, finds in body["sizes"]},
        )


def _listed(learnt: Learnt) -> list[Any]:
    return [learnt.ratios, learnt.mean, learnt.weight]


def coarse(comparison: Comparison) -> Comparison:
    """The same on MOST_BINS bins at most: the most frequent of the reference, the rest as one."""
    last = comparison.reference.size - 2  # unseen and missing values keep their bins
    if not _is_fine(comparison):
        return comparison
    kept = _kept(comparison.reference[:last].tobytes())
    names = [*(comparison.labels[i] for i in kept.tolist()), "rarer", "unseen", "missing"]
    before, now = coarse_counts(comparison)
    return replace(comparison, labels=names, reference=before, current=now, values={})


def coarse_counts(comparison: Comparison) -> tuple[Counts, Counts]:
    """Counts of the reference and of the window on these bins."""
    before, now = comparison.reference, comparison.current
    if not _is_fine(comparison):
        return before, now
    last = before.size - 2
    kept = _kept(before[:last].tobytes())

    def fewer(counts: Counts) -> Counts:
        of_kept = counts[kept]
        rest = counts[:last].sum() - of_kept.sum()
        return np.concatenate([of_kept, [rest], counts[last:]])

    return fewer(before), fewer(now)


def _is_fine(comparison: Comparison) -> bool:
    return comparison.kind == "category" and comparison.reference.size > MOST_BINS


@lru_cache(maxsize=1_024)
def _kept(reference: bytes) -> NDArray[np.int64]:
    """The most frequent bins, in their order; of the same reference in every window."""
    order = np.argsort(-np.frombuffer(reference), kind="stable")
    return np.sort(order[: MOST_BINS - 3])

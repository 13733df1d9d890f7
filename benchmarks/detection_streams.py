"""Detection streams: a law of data and a number of events in, judged windows of it out.

In    `Law` (normal, lognormal, Student t, or Zipf categories), sizes, what changes and when
Out   findings of our real rules, window after window; raw samples for peers (detection_peers.py)
Not   rates, tables (quality_detection.py)

References are built from drawn values by the real profile builder. Windows are drawn as counts on
the reference's bins from their exact multinomial law, which is what the sketches make of drawn
values (tests/stream/test_quality.py shows it once); from there on everything is the real path:
comparison, noise, rules, alerts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.signal import lfilter

from stream.detect.ingest.columns import Column, Columns
from stream.detect.judge import rules
from stream.detect.judge.findings import Finding, Reading
from stream.detect.judge.gather import Due, Window
from stream.detect.judge.measures import Comparison, measure_bins, weigh
from stream.detect.judge.past import Past
from stream.detect.profiles import ProfileBuilder
from stream.detect.references import Reference
from stream.detect.specs import ModelSpec
from stream.detect.states import Stream, WindowState
from stream.detect.times import rfc3339

M = 10_000  # events of a reference
STREAM = Stream("m", "1")
Rng = np.random.Generator
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """Where values come from. Zipf: `size` categories of share 1 / rank; numbers are ranks."""

    name: str
    size: int = 0

    @property
    def is_category(self) -> bool:
        """Whether values are ranks of categories."""
        return self.size > 0

    @property
    def title(self) -> str:
        """How tables name it."""
        return f"{self.name} {self.size or ''}".strip()

    def shares(self) -> Values:
        """Shares of the categories."""
        weights = 1 / np.arange(1, self.size + 1)
        return np.asarray(weights / weights.sum())

    def draw(self, rng: Rng, n: int) -> Values:
        """Independent values; of a category its rank."""
        if self.is_category:
            return rng.choice(self.size, n, p=self.shares()).astype(float)
        return self.from_normal(rng.standard_normal(n))

    def from_normal(self, z: Values) -> Values:
        """Values of the law from values of a normal one, rank by rank."""
        if self.name == "normal":
            return z
        if self.name == "lognormal":
            return np.exp(z)
        return np.asarray(stats.t.ppf(stats.norm.cdf(z), 3))

    def below(self, edges: Values) -> Values:
        """Distribution function of a number."""
        laws = {"normal": stats.norm.cdf, "lognormal": lambda x: stats.lognorm.cdf(x, 1.0)}
        return np.asarray(laws.get(self.name, lambda x: stats.t.cdf(x, 3))(edges))


@dataclass(frozen=True)
class Change:
    """What is different: numbers x become center + scale·(x - center) + shift, in spreads of the
    law; of categories a share `mass` moves from the most frequent to the tenth.
    """

    shift: float = 0.0
    scale: float = 1.0
    mass: float = 0.0

    def apply(self, law: Law, values: Values, rng: Rng) -> Values:
        """Changed values."""
        if law.is_category:
            moves = (values == 0) & (rng.random(len(values)) < self.mass / law.shares()[0])
            return np.where(moves, 9.0, values)
        return np.asarray(values * self.scale + self.shift * spread(law))


NOTHING = Change()


@cache
def spread(law: Law) -> float:
    """Standard deviation of a number."""
    return {"normal": 1.0, "lognormal": float(stats.lognorm.std(1.0))}.get(law.name, 3.0**0.5)


@dataclass(slots=True)
class Feature:
    """A feature with its reference: the comparison of an empty window, and what is in its bins."""

    law: Law
    edges: Values  # of numbers
    ranks: NDArray[np.int64]  # of categories: their bins, the last of them is "unseen"
    blank: Comparison
    known: dict[Change, Values] = field(default_factory=dict)  # probabilities by change

    def counts(self, values: Values) -> Values:
        """Counts of values on the reference's bins, the last of which is for missing ones."""
        size = self.blank.reference.size
        if self.law.is_category:
            bins = self.ranks[values.astype(np.int64)]
        else:
            bins = np.searchsorted(self.edges, values, side="left")
        return np.bincount(bins, minlength=size).astype(np.float64)

    def window(self, counts: Values, n: int) -> Comparison:
        """A window of n events with these counts, beside the reference."""
        known = self.blank
        return Comparison(
            known.feature, known.kind, known.labels, known.reference, counts, n, known.n_reference
        )

    def probabilities(self, change: Change) -> Values:
        """The law of one event over the bins."""
        if change not in self.known:
            self.known[change] = self._probabilities(change)
        return self.known[change]

    def _probabilities(self, change: Change) -> Values:
        found = np.zeros(self.blank.reference.size)
        if self.law.is_category:
            shares = self.law.shares()
            shares[0], shares[9] = shares[0] - change.mass, shares[9] + change.mass
            np.add.at(found, self.ranks, shares)
            return found
        moved = (self.edges - change.shift * spread(self.law)) / change.scale
        found[:-1] = np.diff(np.concatenate([[0.0], self.law.below(moved), [1.0]]))
        return found


def trained(law: Law, rng: Rng, m: int = M) -> tuple[Reference, Values]:
    """A reference of drawn values, by the real builder, and the values."""
    values = law.draw(rng, m)
    if law.is_category:
        texts = [f"c{rank:04d}" for rank in range(law.size)]
        column = Column(None, values.astype(np.int32), texts, None)
    else:
        column = Column(values, None, [], None)
    nothing = np.zeros(m, np.uint64)
    builder = ProfileBuilder(*STREAM[:2])
    run = Columns(
        *STREAM[:2], nothing, np.arange(m), np.zeros(m, np.bool_), {"feature.x": column}, None
    )
    builder.add(run)
    return builder.build(), values


def feature(law: Law, rng: Rng, name: str, m: int = M) -> Feature:
    """A feature with a reference of its own."""
    reference, values = trained(law, rng, m)
    if law.is_category:
        known = reference.categories("feature.x")
        bin_of = {text: at for at, text in enumerate(known)}
        ranks = np.array([bin_of.get(f"c{r:04d}", len(known)) for r in range(law.size)])
        edges, labels, kind = np.empty(0), [*known, "unseen", "missing"], "category"
    else:
        edges, ranks, kind = reference.edges_of("feature.x"), np.empty(0, np.int64), "number"
        labels = [*(f"<= {edge:.6g}" for edge in edges), "more", "missing"]
    blank = Comparison(f"feature.{name}", kind, labels, np.zeros(len(labels)), np.empty(0), 0, m)
    found = Feature(law, edges, ranks, blank)
    blank.reference = found.counts(values)
    return found


@dataclass
class Traffic:
    """A stream of windows of n events: its features, its model, and what its judge remembers."""

    features: list[Feature]
    model: ModelSpec
    n: int
    rng: Rng
    rho: float = 0.0  # correlation of an event with the one before it

    @property
    def is_autocorrelated(self) -> bool:
        """Whether events depend on one another."""
        return self.rho > 0

    def windows(
        self, changes: list[Change], unjudged: int = 0
    ) -> Iterator[tuple[Reading, list[Finding]]]:
        """One window after another, each with its change; the first ones are learnt, no more."""
        past, length_ms = Past(), self.model.lengths_ms[0]
        drawn = [self._draws(one, changes) for one in self.features]
        for at in range(len(changes)):
            compared = {}
            for one, counts in zip(self.features, drawn, strict=True):
                beside = one.window(counts[at], self.n)
                measure_bins(beside)
                if at >= unjudged:
                    weigh(beside, past.noise(length_ms, "training", beside))
                compared[beside.feature] = beside
            if at < unjudged:
                past.learn(length_ms, (at + 1) * length_ms, {"training": compared})
                continue
            reading = self._reading(at * length_ms, compared, past)
            found_of = (rules.apply(rule, self.model, reading) for rule in self.model.rules)
            yield reading, [finding for found in found_of for finding in found]
            past.learn(length_ms, (at + 1) * length_ms, reading.comparisons)

    def _draws(self, one: Feature, changes: list[Change]) -> Values:
        """Counts of one feature (windows, bins)."""
        if not self.is_autocorrelated:
            chances = np.array([one.probabilities(change) for change in changes])
            return self.rng.multinomial(self.n, chances).astype(np.float64)
        steps = self.rng.standard_normal(self.n * len(changes)) * (1 - self.rho**2) ** 0.5
        series = ar1(steps, float(self.rng.standard_normal()), self.rho)
        windows = one.law.from_normal(series).reshape(len(changes), self.n)
        return np.array(
            [
                one.counts(change.apply(one.law, values, self.rng))
                for change, values in zip(changes, windows, strict=True)
            ]
        )

    def _reading(self, start_ms: int, compared: dict[str, Comparison], past: Past) -> Reading:
        window = Window(STREAM, self.model.lengths_ms[0], start_ms)
        summary: dict[str, Any] = {
            "start": rfc3339(start_ms), "end": rfc3339(window.end_ms), "source_offsets": {},
            "config_hash": "",
        }  # fmt: skip
        due = Due(window, 0, WindowState(events=self.n), {})
        return Reading(due, summary, {}, {"training": compared}, past)


def ar1(steps: Values, before: float, rho: float) -> Values:
    """A stationary AR(1) series of variance 1 from its innovations and the value before it."""
    return np.asarray(lfilter([1.0], [1.0, -rho], steps, zi=[rho * before])[0])


def autocorrelated(rng: Rng, n: int, rho: float) -> Values:
    """A window of an AR(1) series that began long before."""
    return ar1(rng.standard_normal(n) * (1 - rho * rho) ** 0.5, float(rng.standard_normal()), rho)

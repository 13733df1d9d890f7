"""Measures: a feature's window and its reference in, distances and their chance level out.

In    two `FeatureState`s and the reference's frozen edges
Out   `Comparison`: counts on the same bins and every measure of them
Not   what is too far (rules.py); the formulas themselves (kernels/measures)

Bins of a number: the reference's deciles, and one for missing values on both sides. Bins of a
category: one per reference category, one for unseen values, one for missing values. KS,
Wasserstein and moments are of the observed values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.measures import embeddings, histograms
from kernels.measures.slices import shuffled as sliced
from kernels.sketches import rows, vectors
from stream.detect.judge import chances
from stream.detect.judge.noise import (
    INDEPENDENT,
    SMALLEST_EXPECTED,
    SMALLEST_N,
    Noise,
    believed,
    evenness,
    independent,
    p_value,
)
from stream.detect.judge.numbers import LEAST_SPREAD, Beside, beside
from stream.detect.references import Reference
from stream.detect.states import FeatureState, WindowState

Counts = NDArray[np.float64]

# Measures of the histogram share its chance level, the others that of Kolmogorov and Smirnov.
ON_BINS = histograms.MEASURES
OBSERVED = ("psi_observed", "jensen_shannon_observed", "l_infinity_observed", "chi2_observed")
OBSERVED_AT = [(name, 7 + ON_BINS.index(name.removesuffix("_observed"))) for name in OBSERVED]
ON_VALUES = ("ks", "wasserstein", "wasserstein_normed", "energy", "energy_normed")
ON_ARRAYS = ("cosine", "mean_shift")
SHUFFLED_BY = np.uint64(0x736C69636564), np.uint64(1)  # any key: the same every time
VANISHED = FeatureState()


class Slices(NamedTuple):
    """Projections (n, DIRECTIONS) of sampled arrays of reference and window, and their unit."""

    reference: NDArray[np.float64]
    current: NDArray[np.float64]
    unit: float


@dataclass(slots=True)
class Comparison:
    """One feature of a window beside its reference.

    labels            what each bin is: "<= 7", "UA", "unseen", "missing"
    reference         (n_bins,) counts, and `current` likewise
    edges, span       inner edges of a number; smallest and largest value of the reference
    outside           values of the window below and above the span, to a cell
    values            measure by name; NaN where it is undefined
    p_values          chance of a value as large on unchanged data, by measure
    null_expectation  what the measure is on unchanged data on average, where that is known
    slices            a sample of arrays, projected
    culprits          the bin whose share moved most, and the value that most others passed
    """

    feature: str
    kind: str
    labels: list[str]
    reference: Counts
    current: Counts
    n: int
    n_reference: int
    edges: list[float] = field(default_factory=list)
    span: tuple[float, float] = (nan, nan)
    outside: tuple[int, int] = (0, 0)
    values: dict[str, float] = field(default_factory=dict)
    p_values: dict[str, float] = field(default_factory=dict)
    null_expectation: dict[str, float] = field(default_factory=dict)
    culprits: dict[str, str | float] = field(default_factory=dict)
    q_value: float = nan
    statistic: float = nan  # chi-square with rare bins pooled, and its degrees of freedom
    freedom: int = 0
    observed: tuple[int, int] = (0, 0)  # finite values of window and reference
    arrays: tuple[int, int] = (0, 0)  # arrays of window and reference
    slices: Slices | None = None
    noise: Noise = INDEPENDENT

    @property
    def frequency(self) -> Counts:
        """How frequent each bin is, to pool rare ones by."""
        if self.kind == "category":  # both sides are equally by chance
            return self.reference + self.current
        return believed(self.reference, self.current)


def compare(
    name: str,
    current: FeatureState,
    events: int,
    reference: Reference,
    noise_of: Callable[[Comparison], Noise] = lambda _: INDEPENDENT,
) -> Comparison | None:
    """The feature beside its reference; None if the reference does not know it in this kind.

    noise_of  how much the feature varies by itself, once its degrees of freedom are known
    """
    state = WindowState(events, features={name: current})
    return compare_features([name], state, reference, noise_of).get(name)


def compare_features(
    names: Iterable[str],
    state: WindowState,
    reference: Reference,
    noise_of: Callable[[Comparison], Noise],
) -> dict[str, Comparison]:
    """As `compare`, of many features of a window, in this order."""
    kinds = _kinds(names, state, reference)
    numbers = {
        name: state.features.get(name, VANISHED).number
        for name, kind in kinds.items()
        if kind != "category"
    }
    binned = beside(numbers, state.events, reference)
    found = {}
    for name, kind in kinds.items():
        current, known = state.features.get(name, VANISHED), reference.state.features[name]
        if kind == "category":
            comparison = _compare_categories(name, current, state.events, known, reference)
        else:
            comparison = _compare_number(name, binned[name], state.events, known, reference)
        comparison.kind = kind
        if current.arrays is not None and known.arrays is not None:
            _measure_arrays(comparison, current, known)
        found[name] = comparison
    large = [one for one in found.values() if min(one.n, one.n_reference) >= SMALLEST_N]
    for comparison, at in zip(large, _measure_all(large), strict=True):
        comparison.culprits["l_infinity"] = comparison.labels[at]
    for comparison in found.values():
        weigh(comparison, noise_of(comparison))
    return found


def _kinds(names: Iterable[str], state: WindowState, reference: Reference) -> dict[str, str]:
    """Of the features that the reference knows in this kind."""
    kinds = {}
    for name in names:
        known = reference.feature(name)
        if known is None:
            continue
        kind = known.kind if known.observed() else state.features.get(name, VANISHED).kind
        if kind == "category" or known.number is not None:
            kinds[name] = kind
    return kinds


def _compare_categories(
    name: str, current: FeatureState, events: int, known: FeatureState, reference: Reference
) -> Comparison:
    vocabulary = reference.categories(name)
    now = current.category.counts if current.category else {}
    before = known.category.counts if known.category else {}
    unseen = sum(now.values()) - sum(now.get(c, 0) for c in vocabulary)
    n, m = sum(now.values()), sum(before.values())
    return Comparison(
        feature=name,
        kind="category",
        labels=[*vocabulary, "unseen", "missing"],
        reference=np.array(
            [*(before[c] for c in vocabulary), 0, reference.state.events - m], float
        ),
        current=np.array([*(now.get(c, 0) for c in vocabulary), unseen, events - n], float),
        n=events,
        n_reference=reference.state.events,
    )


def _compare_number(
    name: str, binned: Beside, events: int, known: FeatureState, reference: Reference
) -> Comparison:
    assert known.number is not None  # who calls looked
    span = known.number.moments
    return Comparison(
        feature=name,
        kind="number",
        labels=[*_labels(binned.edges.tolist()), "missing"],
        reference=binned.before,
        current=binned.now,
        n=events,
        n_reference=reference.state.events,
        edges=binned.edges.tolist(),
        span=(float(span.low[0]), float(span.high[0])),
        outside=binned.outside,
        values=binned.distances,
        culprits={} if binned.culprit is None else {"ks": binned.culprit},
        observed=binned.observed,
    )


def _labels(edges: list[float]) -> list[str]:
    last = f"> {edges[-1]:.6g}" if edges else "any"
    return [*(f"<= {edge:.6g}" for edge in edges), last]


def _measure_arrays(comparison: Comparison, current: FeatureState, reference: FeatureState) -> None:
    """How the mean array turned and moved; nothing if arrays have another length now."""
    now, known = current.arrays, reference.arrays
    assert now is not None  # both have arrays
    assert known is not None
    n, m = int(now.count[0]), int(known.count[0])
    if min(n, m) < SMALLEST_N or now.length[0] != known.length[0]:
        return
    before, after = vectors.means(known, 0), vectors.means(now, 0)
    spread = sqrt(float(vectors.variances(known, 0).sum()))
    comparison.arrays = n, m
    comparison.values |= {
        "cosine": embeddings.cosine(before, after),
        "mean_shift": embeddings.mean_shift(before, after, spread),
    }
    if current.slices and reference.slices and isfinite(spread):
        unit = max(spread / sqrt(len(before)), LEAST_SPREAD)
        before, after = rows.sample(reference.slices, 0), rows.sample(current.slices, 0)
        comparison.slices = Slices(before, after, unit)


def measure_bins(comparison: Comparison) -> None:
    """Everything that is read off the two histograms but its chance level: see `weigh`."""
    _measure_all([comparison])


def _measure_all(comparisons: Sequence[Comparison]) -> list[int]:
    """The same of many; the bins whose shares moved most, -1 where a side is empty."""
    if not comparisons:
        return []
    before = np.concatenate([one.reference for one in comparisons])
    now = np.concatenate([one.current for one in comparisons])
    ends = np.cumsum([len(one.current) for one in comparisons])
    is_number = np.array([one.kind != "category" for one in comparisons])
    found = np.empty((len(comparisons), 17))
    histograms.measured_each(before, now, ends, is_number, SMALLEST_EXPECTED, found)
    for one, row in zip(comparisons, found.tolist(), strict=True):
        one.values.update(zip(ON_BINS, row[:7], strict=True))
        one.values |= {name: row[at] for name, at in OBSERVED_AT}
        one.statistic, one.freedom = row[15], int(row[16])
    return [int(at) for at in found[:, 14]]


def weigh(comparison: Comparison, noise: Noise) -> None:
    """Give every measure its chance, and what it is on average, on data that vary like this."""
    comparison.noise = noise
    n, m = comparison.current.sum(), comparison.reference.sum()
    if "psi" in comparison.values:
        # PSI / (1/n + 1/m) has the law of chi-square too, but only for large n: an empty bin of
        # forty events makes it explode. On car loan, 605 quiet windows of 41 events, it gave
        # p < 0.01 in 3.1 % of them.
        chance = p_value(comparison.statistic, comparison.freedom, n, m, noise)
        comparison.p_values |= dict.fromkeys(ON_BINS + OBSERVED, chance)
        bins = int(np.count_nonzero(comparison.reference + comparison.current))
        effective = n / noise.factor
        psi = chances.psi_expectation(effective, m, bins)
        distance = chances.jensen_shannon_expectation(effective, m, bins)
        comparison.null_expectation = {
            "psi": psi,
            "psi_observed": psi,
            "jensen_shannon": distance,
            "jensen_shannon_observed": distance,
        }
    if "ks" in comparison.values:
        n_values, m_values = comparison.observed
        slowest = noise.doubted
        if noise.is_slow:
            slowest /= evenness(noise.doubted, comparison.freedom)
        chance = chances.ks_chance(comparison.values["ks"], n_values / slowest, m_values)
        comparison.p_values |= dict.fromkeys(ON_VALUES, chance)
    if "mean_shift" in comparison.values:
        _weigh_arrays(comparison, noise)
    if comparison.slices is not None:
        _weigh_slices(comparison, comparison.slices, noise)


def _weigh_arrays(comparison: Comparison, noise: Noise) -> None:
    n, m = comparison.arrays
    n_effective = n / noise.doubted
    chance = chances.mean_shift_chance(comparison.values["mean_shift"], n_effective, m)
    comparison.p_values |= dict.fromkeys(ON_ARRAYS, chance)
    expected = chances.mean_shift_expectation(n / noise.factor, m)
    comparison.null_expectation["mean_shift"] = expected


def _weigh_slices(comparison: Comparison, slices: Slices, noise: Noise) -> None:
    """The distance of the sampled arrays; of fewer of them where events depend on one another."""
    n = independent(len(slices.current), comparison.arrays[0], noise.doubted)
    if min(n, len(slices.reference)) < SMALLEST_N:
        comparison.values.pop("sliced_wasserstein", None)
        return
    found = sliced(slices.reference, slices.current[:n], slices.unit, SHUFFLED_BY)
    comparison.values["sliced_wasserstein"] = found.coefficient
    comparison.p_values["sliced_wasserstein"] = chances.of_shuffled(found)
    comparison.null_expectation["sliced_wasserstein"] = found.mean

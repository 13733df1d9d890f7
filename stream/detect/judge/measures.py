"""Measures: a feature's window and its reference in, distances and their chance level out.

In    two `FeatureState`s and the reference's frozen edges
Out   `Comparison`: counts on the same bins and every measure of them
Not   what is too far (rules.py); the formulas themselves (kernels/measures)

Bins of a number: the reference's deciles, and one for missing values on both sides. Bins of a
category: one per reference category, one for unseen values, one for missing values. KS,
Wasserstein and moments are of the observed values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite, nan, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.measures import distances, divergences, embeddings, histograms
from kernels.measures.slices import shuffled as sliced
from kernels.sketches import logbins, moments, rows, vectors
from stream.detect.judge import chances
from stream.detect.judge.noise import (
    INDEPENDENT,
    SMALLEST_N,
    Noise,
    believed,
    chi_square,
    evenness,
    independent,
    p_value,
)
from stream.detect.references import Reference
from stream.detect.states import FeatureState, NumberState

Counts = NDArray[np.float64]

# Measures of the histogram share its chance level, the others that of Kolmogorov and Smirnov.
ON_BINS = histograms.MEASURES
OBSERVED = ("psi_observed", "jensen_shannon_observed", "l_infinity_observed", "chi2_observed")
ON_VALUES = ("ks", "wasserstein", "wasserstein_normed", "energy", "energy_normed")
ON_ARRAYS = ("cosine", "mean_shift")
SHUFFLED_BY = np.uint64(0x736C69636564), np.uint64(1)  # any key: the same every time
LEAST_SPREAD = 1e-3  # of a reference, as peers have it: a constant has no unit to divide by


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
    known = reference.feature(name)
    if known is None:
        return None
    kind = known.kind if known.observed() else current.kind
    if kind == "category":
        comparison = _compare_categories(name, current, events, known, reference)
    elif known.number is not None:
        comparison = _compare_numbers(name, current, events, known.number, reference)
    else:
        return None
    comparison.kind = kind
    if current.arrays is not None and known.arrays is not None:
        _measure_arrays(comparison, current, known)
    if min(comparison.n, comparison.n_reference) >= SMALLEST_N:
        measure_bins(comparison)
        at = divergences.culprit(comparison.reference, comparison.current)
        comparison.culprits["l_infinity"] = comparison.labels[at]
    weigh(comparison, noise_of(comparison))
    return comparison


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


def _compare_numbers(
    name: str, current: FeatureState, events: int, known: NumberState, reference: Reference
) -> Comparison:
    edges = reference.edges_of(name)
    now = current.number or NumberState.empty(known.grid)
    counts, before = _with_infinities(now, edges, known), _with_infinities(known, edges, known)
    missing, missing_before = events - counts.sum(), reference.state.events - before.sum()
    comparison = Comparison(
        feature=name,
        kind="number",
        labels=[*_labels(edges), "missing"],
        reference=np.append(before, missing_before),
        current=np.append(counts, missing),
        n=events,
        n_reference=reference.state.events,
        edges=edges.tolist(),
        span=(float(known.moments.low[0]), float(known.moments.high[0])),
        outside=_outside(now, known),
    )
    if min(now.count, known.count) >= SMALLEST_N:
        _measure_values(comparison, now, known)
    return comparison


def _labels(edges: NDArray[np.float64]) -> list[str]:
    last = f"> {edges[-1]:.6g}" if len(edges) else "any"
    return [*(f"<= {edge:.6g}" for edge in edges), last]


def _with_infinities(number: NumberState, edges: NDArray[np.float64], known: NumberState) -> Counts:
    counts = bin_counts(number, edges, known)
    counts[0] += number.moments.kinds[0, moments.NEG_INFS]
    counts[-1] += number.moments.kinds[0, moments.POS_INFS]
    return counts


def bin_counts(number: NumberState, edges: NDArray[np.float64], known: NumberState) -> Counts:
    """Counts (len(edges) + 1,) of the finite values on the reference's edges; outer bins open."""
    values, counts = _atoms(number)
    bins = np.searchsorted(edges, values, side="left")
    binned = np.bincount(bins, counts, minlength=len(edges) + 1).astype(np.float64)
    if number.is_atomic:
        return binned
    rest = _rest(number, known)
    # A cell's upper border tells its bin, as edges are borders; beside atoms its middle does.
    borders = logbins.cell_edges(*known.grid)
    at = _middles(borders) if known.is_atomic else borders[1:]
    bins = np.searchsorted(edges, at, side="left")
    return np.asarray(binned + np.bincount(bins, rest, minlength=len(edges) + 1))


def _outside(now: NumberState, known: NumberState) -> tuple[int, int]:
    """Values below and above what the reference has; those within a cell of its ends are inside."""
    low, high = known.moments.low[0], known.moments.high[0]
    if not known.count:
        return 0, 0
    values, counts = _atoms(now)
    rest = _rest(now, known)
    first, last = (logbins.cell_of(end, *known.grid) for end in (low, high))
    kinds = now.moments.kinds[0]
    below = counts[values < low].sum() + rest[:first].sum() + kinds[moments.NEG_INFS]
    above = counts[values > high].sum() + rest[last + 1 :].sum() + kinds[moments.POS_INFS]
    return int(below), int(above)


def _atoms(number: NumberState) -> tuple[NDArray[np.float64], Counts]:
    items = sorted(number.values.items())
    return np.array([v for v, _ in items], float), np.array([c for _, c in items], float)


def _rest(number: NumberState, known: NumberState) -> Counts:
    """Counts by cell of the values that are not counted one by one."""
    rest = number.cells_on(known.grid).astype(float)
    for value, count in number.values.items():
        rest[logbins.cell_of(value, *known.grid)] -= count
    return np.asarray(np.maximum(rest, 0))


def _middles(borders: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(borders[:-1] / 2 + borders[1:] / 2)


def _measure_values(comparison: Comparison, now: NumberState, known: NumberState) -> None:
    """Distances of the observed values: exact on atoms, within cells spread evenly."""
    if known.is_atomic:
        points, before, after = _on_points(now, known)
        wasserstein = distances.wasserstein(points, before, after)
        energy = distances.energy(points, before, after)
    else:
        low = min(now.moments.low[0], known.moments.low[0])
        high = max(now.moments.high[0], known.moments.high[0])
        borders = np.clip(logbins.cell_edges(*known.grid), low, high)
        before, after = known.cells.astype(float), now.cells_on(known.grid).astype(float)
        points = borders[1:]
        wasserstein = distances.wasserstein_cells(borders, before, after)
        energy = distances.energy_cells(borders, before, after)
    cumulative = np.cumsum(before), np.cumsum(after)
    comparison.culprits["ks"] = float(points[distances.ks_at(*cumulative)])
    unit = known.grid.unit
    spread = max(sqrt(moments.variance(known.moments, 0, unit, 0)), LEAST_SPREAD)
    comparison.values |= {
        "ks": distances.ks(*cumulative),
        "wasserstein": wasserstein,
        "wasserstein_normed": wasserstein / spread,
        "energy": energy,
        "energy_normed": energy / sqrt(spread),
    }
    comparison.observed = (now.count, known.count)


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


def _on_points(now: NumberState, known: NumberState) -> tuple[NDArray[np.float64], Counts, Counts]:
    """Both sides on shared support points: values, and middles of cells for what is unseen."""
    values = np.union1d(list(known.values), list(now.values))
    before, after = (
        np.array([number.values.get(v, 0) for v in values.tolist()], float)
        for number in (known, now)
    )
    if now.is_atomic:
        return values, before, after
    rest = _rest(now, known)
    cells = np.flatnonzero(rest)
    borders = logbins.cell_edges(*known.grid)
    low, high = now.moments.low[0], now.moments.high[0]
    points = np.clip(_middles(borders)[cells], low, high)
    order = np.argsort(np.concatenate([values, points]), kind="stable")
    return (
        np.concatenate([values, points])[order],
        np.concatenate([before, np.zeros(len(cells))])[order],
        np.concatenate([after, rest[cells]])[order],
    )


def measure_bins(comparison: Comparison) -> None:
    """Everything that is read off the two histograms but its chance level: see `weigh`."""
    before, now = comparison.reference, comparison.current
    every, observed = histograms.measured(before, now)
    comparison.values.update(zip(ON_BINS, every.tolist(), strict=True))
    without = dict(zip(ON_BINS, observed.tolist(), strict=True))
    comparison.values |= {name: without[name.removesuffix("_observed")] for name in OBSERVED}
    often = comparison.frequency
    comparison.statistic, comparison.freedom = chi_square(before, now, often)


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

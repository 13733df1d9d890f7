"""Joint: a window and its reference, all features at once in, how they changed together out.

In    the samples of events and the attributions of two windows
Out   `JointComparison`: the pair of features that moves together otherwise, whether rows could come
      from the same law, how the order of attributions changed
Not   one feature alone (measures.py), verdicts (rules.py), the tests themselves (kernels/measures)

Everything is of ranks in a uniform sample, so units and heavy tails play no part. Where events
depend on one another a sample is thinned (`noise.independent`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.measures import attributions, correlation, twosample
from stream.detect.contributions import NO_ATTRIBUTION
from stream.detect.judge import chances
from stream.detect.judge.measures import Comparison
from stream.detect.judge.noise import SMALLEST_N, independent
from stream.detect.references import Reference
from stream.detect.states import WindowState

MEASURES = ("correlation", "two_sample", "attribution_drift")
LEANING = sqrt(2.0)  # times the errors of attributions: see `_attributions`
SCALES = (1.0, 2.0, 4.0, 8.0)  # of these errors, until draws reach what was seen
OFTEN = 10
MOST_ROWS = 256  # of a side in the two-sample test: a few milliseconds, and enough
SHUFFLED_BY = np.uint64(0x6472696674), np.uint64(0x6C696E65)  # any key: the same every time


@dataclass(slots=True)
class JointComparison:
    """One window beside one reference.

    sizes   by measure, values it is of: of the window and of the reference
    detail  by measure, what else is to be told: the pair and its correlations
    """

    values: dict[str, float] = field(default_factory=dict)
    p_values: dict[str, float] = field(default_factory=dict)
    null_expectation: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    detail: dict[str, dict[str, Any]] = field(default_factory=dict)


def compare(
    now: WindowState, reference: Reference, comparisons: Mapping[str, Comparison]
) -> JointComparison:
    """The window beside the reference; a measure that cannot be had is left out.

    comparisons  by feature: they know how much events depend on one another
    """
    found, known = JointComparison(), reference.state
    if now.joint and known.joint and now.joint.names == known.joint.names:
        current = now.joint.values()
        noisiest = _noisiest(comparisons, now.joint.names)
        current = current[: independent(len(current), now.joint.events, noisiest)]
        before = known.joint.values()
        if min(len(current), len(before)) >= SMALLEST_N:
            _correlation(found, before, current, now.joint.names)
            _two_sample(found, before[:MOST_ROWS], current[:MOST_ROWS])
    _attributions(found, known, now, _noisiest(comparisons, comparisons))
    return found


def _noisiest(comparisons: Mapping[str, Comparison], names: Iterable[str]) -> float:
    """How much more than that of independent events the mean of one of these features may vary."""
    return max((comparisons[n].noise.doubted for n in names if n in comparisons), default=1.0)


def _correlation(
    found: JointComparison,
    before: NDArray[np.float64],
    now: NDArray[np.float64],
    names: tuple[str, ...],
) -> None:
    sides = [correlation.correlations(correlation.ranks(rows)) for rows in (before, now)]
    (r_before, n_before, _), (r_now, n_now, _) = sides
    i, j, p_value = correlation.largest_change(correlation.changes(*sides[0], *sides[1]))
    if i < 0:
        return
    was, became = float(r_before[i, j]), float(r_now[i, j])
    found.values["correlation"] = abs(became - was)
    found.p_values["correlation"] = p_value
    found.sizes["correlation"] = int(n_now[i, j]), int(n_before[i, j])
    pair = [name.removeprefix("feature.") for name in (names[i], names[j])]
    found.detail["correlation"] = {"pair": pair, "reference": was, "current": became}


def _two_sample(
    found: JointComparison, before: NDArray[np.float64], now: NDArray[np.float64]
) -> None:
    dissimilar = twosample.dissimilarities(twosample.scores(before, now))
    shuffled = twosample.shuffled(dissimilar, len(before), SHUFFLED_BY)
    found.values["two_sample"] = shuffled.coefficient
    found.p_values["two_sample"] = chances.of_shuffled(shuffled)
    found.null_expectation["two_sample"] = shuffled.mean
    found.sizes["two_sample"] = len(now), len(before)
    found.detail["two_sample"] = {"shuffles": shuffled.drawn}


def _attributions(
    found: JointComparison, known: WindowState, now: WindowState, factor: float
) -> None:
    """How the order of attributions changed, and the chance of it.

    The errors of both sides are taken LEANING times as large: what is common to both sides is not
    known but their mean, whose own noise makes the gaps between features look too wide, and the
    attributions of one event lean against one another (two of them by twice their variance).
    """
    names = sorted(known.attributions.keys() | now.attributions.keys())
    sides = [
        [side.attributions.get(name, NO_ATTRIBUTION) for name in names] for side in (known, now)
    ]
    m, n = (max((one.count for one in side), default=0) for side in sides)
    if min(n, m) < SMALLEST_N:
        return
    before, after = (np.array([one.mean for one in side]) for side in sides)
    errors = [LEANING * np.array([one.error for one in side]) for side in sides]
    errors[1] *= sqrt(factor)
    ndcg = attributions.ndcg(before, after)
    if np.isnan(ndcg) or not np.isfinite([*before, *after, *errors[0], *errors[1]]).all():
        return
    common = (before * m + after * n) / (m + n)
    chance, expected = _chance_of_order(1.0 - ndcg, common, *errors)
    found.values["attribution_drift"] = 1.0 - ndcg
    found.p_values["attribution_drift"] = chance
    found.null_expectation["attribution_drift"] = expected
    found.sizes["attribution_drift"] = n, m
    found.detail["attribution_drift"] = {"ndcg": ndcg, "first": names[int(np.argmax(after))]}


def _chance_of_order(
    deficit: float,
    common: NDArray[np.float64],
    of_reference: NDArray[np.float64],
    of_current: NDArray[np.float64],
) -> tuple[float, float]:
    """The chance of such a deficit, and what it is on average; both by simulation.

    Where no draw comes near, errors are taken larger until some do: see `chances.of_scaled`.
    """
    expected, chance = 0.0, 1.0
    for scale in SCALES:
        reached, drawn, mean = attributions.simulated(
            common, scale * of_reference, scale * of_current, deficit, SHUFFLED_BY
        )
        share = reached / drawn if reached >= OFTEN else (reached + 1) / (drawn + 1)
        expected = mean if scale == 1.0 else expected
        chance = min(chance, chances.of_scaled(share, scale) if share < 1.0 else 1.0)
        if reached >= OFTEN:
            break
    return chance, expected

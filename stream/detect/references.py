"""References: a frozen summary to compare windows with.

In    a `WindowState` of training data or of an earlier window, with exact edges where known
Out   `Reference`: grids and vocabularies for the ingest side, edges and counts for the judge
Not   where references are kept (bus/reference_store.py), building one from files (profile.py)

Edges never move: nine inner deciles of the reference, duplicates merged, a bin is
`edges[i-1] < x <= edges[i]` and the outer bins are open. A number with a vocabulary keeps its
deciles exactly, because its values are counted one by one; any other number has its deciles
snapped to borders of sketch cells, where counts are exact too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kernels.sketches import covariance, logbins, vectors
from stream.detect.grids import RAW, Grid, edges_of
from stream.detect.states import MOST_LISTED, FeatureState, NumberState, WindowState
from stream.detect.times import NEVER_MS

VOCABULARY_SIZE = MOST_LISTED  # of a number, in the reference
DECILES = np.linspace(0, 1, 11)[1:-1]


@dataclass(slots=True)
class Reference:
    """What a model's windows are compared with.

    edges    per numeric feature (k,) float64 inner edges, k <= 9; built on first use if not given
    from_ms  in force for panes that begin at this event time or later
    before   what was in force until then; None where nothing is known of it
    """

    id: str
    model: str
    version: str
    state: WindowState
    edges: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    from_ms: int = NEVER_MS
    before: Reference | None = None

    def at(self, pane_ms: int) -> Reference:
        """The reference in force for a pane that begins then."""
        found = self
        while pane_ms < found.from_ms and found.before is not None:
            found = found.before
        return found

    def feature(self, name: str) -> FeatureState | None:
        """The feature's sketches, or None if the reference does not know it."""
        return self.state.features.get(name)

    def kind(self, name: str) -> str | None:
        """number, category, vector; None if it has no value in the reference."""
        feature = self.feature(name)
        return feature.kind if feature and feature.observed() else None

    def observed(self, name: str) -> int:
        """Values of a feature; the rest of the reference's events miss it."""
        feature = self.feature(name)
        return feature.observed() if feature else 0

    def grid(self, name: str) -> Grid:
        """The grid of a numeric feature; RAW if the reference does not know it as a number."""
        feature = self.feature(name)
        return feature.number.grid if feature and feature.number else RAW

    def numbers(self, name: str) -> NDArray[np.float64]:
        """The vocabulary of a numeric feature, sorted; empty if it is continuous."""
        feature = self.feature(name)
        values = feature.number.values if feature and feature.number else {}
        return np.array(sorted(values), np.float64)

    def categories(self, name: str) -> list[str]:
        """The vocabulary of a category, sorted."""
        feature = self.feature(name)
        return sorted(feature.category.counts) if feature and feature.category else []

    def mean_array(self, name: str) -> NDArray[np.float64]:
        """Mean of the arrays of a feature (d,); empty if it has none."""
        feature = self.feature(name)
        return vectors.means(feature.arrays, 0) if feature and feature.arrays else np.empty(0)

    def edges_of(self, name: str) -> NDArray[np.float64]:
        """Inner edges of a numeric feature; empty if it has no value in the reference."""
        return self.edges_of_all([name])[name]

    def edges_of_all(self, names: Collection[str]) -> dict[str, NDArray[np.float64]]:
        """The same of many features."""
        new = {}
        for name in names:
            if name not in self.edges:
                feature = self.feature(name)
                new[name] = feature.number if feature else None
        if new:
            numbers = [number for number in new.values() if number is not None]
            found = iter(_inner_edges(numbers))
            for name, number in new.items():
                self.edges[name] = np.empty(0) if number is None else next(found)
        return {name: self.edges[name] for name in names}


def joint_names(reference: Reference, without: Collection[str] = ()) -> tuple[str, ...]:
    """The features that are kept side by side: numbers by name, two at least, `MOST` at most."""
    names = [
        name
        for name in sorted(reference.state.features)
        if name.startswith("feature.") and name not in without and reference.kind(name) == "number"
    ]
    return tuple(names[: covariance.MOST]) if len(names) > 1 else ()


def inner_edges(number: NumberState) -> NDArray[np.float64]:
    """Deciles: of the values where they are counted one by one, else borders of cells."""
    return _inner_edges([number])[0]


def _inner_edges(numbers: Sequence[NumberState]) -> list[NDArray[np.float64]]:
    found = [np.empty(0)] * len(numbers)
    smooth = list[int]()
    for at, number in enumerate(numbers):
        if number.is_atomic:
            edges = np.unique(number.quantiles(DECILES))
            found[at] = edges[np.isfinite(edges)]
        elif number.count:
            smooth.append(at)
    if smooth:
        counts = np.stack([numbers[at].cells for at in smooth])
        borders = np.stack([edges_of(numbers[at].grid) for at in smooth])
        snapped = np.empty((len(smooth), len(DECILES)))
        sizes = np.zeros(len(smooth), np.int64)
        logbins.snapped_each(counts, borders, DECILES, snapped, sizes)
        for at, row, size in zip(smooth, snapped, sizes.tolist(), strict=True):
            found[at] = row[:size].copy()
    return found

"""Joint: numeric features of a stream side by side, as one window knows them.

In    rows of the ingest side's sketches, an unpacked partial, or a profile
Out   `JointState`: a uniform sample of events, and how pairs of features vary together
Not   one feature alone (states.py), what follows from it (judge)

Both are kept for the numeric features that the reference has, by name, at most
`covariance.MOST` of them, and only where there are two: without a reference there is no scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.sketches import covariance, rows
from kernels.sketches.covariance import Covariance
from kernels.sketches.rows import Rows

PANE_ROWS = 128  # of each part of a pane
WINDOW_ROWS = 1_000  # of a window, and of a reference

_ONE_ROW = np.zeros(1, np.int32)


@dataclass(slots=True)
class JointState:
    """Numeric features side by side; one slot each.

    names   (d,) the features, sorted
    scales  (d, 2) centre and 1 / scale of each in `pairs`
    events  that are in it
    apart   events of parts that were made with other features or scales
    """

    names: tuple[str, ...]
    scales: NDArray[np.float64]
    sample: Rows
    pairs: Covariance
    events: int = 0
    apart: int = 0

    @classmethod
    def empty(cls, names: tuple[str, ...], scales: NDArray[np.float64]) -> JointState:
        """No event yet; room for the sample of a window."""
        d = len(names)
        return cls(names, scales, rows.empty(1, WINDOW_ROWS, d), covariance.empty(1, d))

    def copy(self) -> JointState:
        """The same with room for the sample of a window."""
        copied = JointState.empty(self.names, self.scales)
        copied.merge(self)
        return copied

    def merge(self, other: JointState) -> None:
        """Add other; if it has other features or scales its events are counted, no more."""
        self.apart += other.apart
        if self.names != other.names or not np.array_equal(self.scales, other.scales):
            self.apart += other.events
            return
        self.events += other.events
        rows.merge(self.sample, _ONE_ROW, other.sample)
        covariance.merge(self.pairs, _ONE_ROW, other.pairs)

    def values(self) -> NDArray[np.float64]:
        """The sampled events (n, d), NaN where a value is missing, in the order of their ids."""
        return rows.sample(self.sample, 0)

    def correlations(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Events that have both features of each pair (d, d), and their correlation (d, d)."""
        d = len(self.names)
        counts, found = np.zeros((d, d), np.int64), np.zeros((d, d))
        covariance.correlations(self.pairs, 0, counts, found)
        return counts, found

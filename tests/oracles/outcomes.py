"""Performance of predictions, plainly: every pair at hand, sums by math.fsum."""

from __future__ import annotations

import math
from collections.abc import Sequence


def errors(guesses: Sequence[float], truths: Sequence[float]) -> dict[str, float]:
    """bias, mae, rmse, mape; NaN where nothing counts."""
    pairs = [p for p in zip(guesses, truths, strict=True) if all(map(math.isfinite, p))]
    residuals = [guess - truth for guess, truth in pairs]
    shares = [abs((guess - truth) / truth) for guess, truth in pairs if truth]
    return {
        "bias": _mean(residuals),
        "mae": _mean([abs(e) for e in residuals]),
        "rmse": math.sqrt(_mean([e * e for e in residuals])),
        "mape": _mean(shares),
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def auc(scores: Sequence[float], labels: Sequence[int]) -> float:
    """The share of pairs of a 1 and a 0 in which the 1 scores higher, ties half, by ranks."""
    ordered = sorted(scores)
    first = {score: at for at, score in reversed(list(enumerate(ordered)))}
    last = {score: at for at, score in enumerate(ordered)}
    ones = [s for s, label in zip(scores, labels, strict=True) if label == 1]
    n, m = len(ones), len(scores) - len(ones)
    if not n or not m:
        return math.nan
    ranks = math.fsum((first[s] + last[s]) / 2 + 1 for s in ones)
    return (ranks - n * (n + 1) / 2) / (n * m)


def log_loss(scores: Sequence[float], labels: Sequence[int], smallest: float) -> float:
    """Mean -ln of the probability of what came true, which is taken as at least `smallest`."""
    given = (s if label == 1 else 1 - s for s, label in zip(scores, labels, strict=True))
    return _mean([-math.log(min(max(p, smallest), 1 - smallest)) for p in given])


def brier(scores: Sequence[float], labels: Sequence[int]) -> float:
    """Mean squared distance of score and label."""
    return _mean([(s - label) ** 2 for s, label in zip(scores, labels, strict=True)])


def rig(scores: Sequence[float], labels: Sequence[int], smallest: float) -> float:
    """1 - log loss over that of the constant score that is right on average."""
    rate = sum(labels) / len(labels)
    if rate in (0, 1):
        return math.nan
    return 1 - log_loss(scores, labels, smallest) / log_loss([rate] * len(labels), labels, smallest)

"""Quality: stationary and changed windows in, worst rate of false alarms and power out.

In    nothing
Out   rows: the worst of a few cells beside its nominal rate, and what a window finds beside KS
Not   the whole grid and its page (`python -m benchmarks.quality_detection --whole`)
"""

from __future__ import annotations

from benchmarks import quality_detection as quality
from benchmarks.measuring import Row, alone, compared

SHIFT = quality.SHIFTS[2]  # half a standard deviation


def rows(quick: bool = False) -> list[Row]:
    """Rates in percent; a minute at most."""
    plan = quality.QUICK
    runs = 20 if quick else plan.runs
    rates = [
        quality.false_alarms(law, n, count, runs)
        for law in plan.laws
        for count in plan.features
        for n in plan.sizes
    ]
    found = [100 * rate.hits / rate.runs for rate in rates]
    worst = compared("quality/false_alarms/worst_vs_nominal", [(max(found), 5.0)], "%")
    autocorrelated = quality.false_alarms(quality.LAWS[0], 200, 20, runs, quality.AR)
    share = 100 * autocorrelated.hits / autocorrelated.runs
    power = quality.power(quality.LAWS[0], 1_000, SHIFT, runs // 5, 0.0)
    return [
        worst,
        compared("quality/false_alarms/autocorrelated_vs_nominal", [(share, 5.0)], "%"),
        alone("quality/power/half_sd_at_1000", [100 * power[0]], "%"),
    ]

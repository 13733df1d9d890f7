"""Measuring: runs of ours and of a peer in, one row of results out.

In    pairs of figures, one per run, both of a pair taken one after the other
Out   a row: name, ours and peer (medians), ratio (median of the pairs') with its spread, unit, runs
Not   what is run (bench_*.py), tables (report.py)

The ratio is taken pair by pair: what slows the machine down for a moment slows both.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from stream.errors import SetupError

Pair = tuple[float, float]  # ours, peer
Row = dict[str, Any]


def times_ours(ours: float, peer: float) -> float:
    """How many times the peer's figure ours is; of rates: how many times as fast."""
    return ours / peer


def compared(
    name: str,
    pairs: Iterable[Pair],
    unit: str,
    ratio: Callable[[float, float], float] = times_ours,
) -> Row:
    """A row of a comparison; `spread` is the smallest and the largest ratio of a run."""
    pairs = list(pairs)
    ratios = [ratio(ours, peer) for ours, peer in pairs]
    return {
        "name": name,
        "ours": rounded(statistics.median(ours for ours, _ in pairs)),
        "peer": rounded(statistics.median(peer for _, peer in pairs)),
        "ratio": rounded(statistics.median(ratios)),
        "unit": unit,
        "spread": [rounded(min(ratios)), rounded(max(ratios))],
        "runs": len(pairs),
    }


def alone(name: str, figures: Sequence[float], unit: str) -> Row:
    """A row without a peer; `spread` is the smallest and the largest figure."""
    return {
        "name": name,
        "ours": rounded(statistics.median(figures)),
        "peer": None,
        "ratio": None,
        "unit": unit,
        "spread": [rounded(min(figures)), rounded(max(figures))],
        "runs": len(figures),
    }


def not_measured(name: str, why: str) -> Row:
    """A row that says why there is no figure."""
    return {
        "name": name,
        "ours": None,
        "peer": None,
        "ratio": None,
        "unit": f"not measured: {why}",
        "spread": [None, None],
        "runs": 0,
    }


def rounded(figure: float) -> float:
    """Three significant digits: none of these figures is known better."""
    return float(f"{figure:.3g}")


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process so far, in steps of 10 ms.

    Raises SetupError where there is no /proc.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SetupError(f"/proc/{pid}/stat cannot be read: this benchmark needs Linux") from None
    return cpu_ticks(stat) / os.sysconf("SC_CLK_TCK")


def cpu_ticks(stat: str) -> int:
    """User and system time in a line of /proc/PID/stat."""
    # The second field, the program's name in parentheses, may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])

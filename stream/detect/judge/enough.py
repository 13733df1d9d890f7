"""Enough: findings in, what they say of how much data there was and what it may cost out.

In    findings of a window
Out   parts of the window summary and of alerts: sizes, the window that decided, the budget; and a
      sentence on what could not be judged
Not   when there is enough (widening.py), levels (levels.py)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stream.detect.judge.findings import BREACH, NOT_ENOUGH, Finding
from stream.detect.times import rfc3339


def sizing(finding: Finding) -> dict[str, Any]:
    """The sizes a finding knows of, and the windows it stands for if that is not just its own.

    n_fires     the smallest window that could breach at all
    n_finds     the smallest window that finds what it should with the power asked for
    decided_on  from when to when
    """
    found: dict[str, Any] = {}
    if finding.n_fires is not None or finding.n_finds is not None:
        found |= {"n_fires": finding.n_fires, "n_finds": finding.n_finds}
    if finding.span_ms is not None:
        start, end = (rfc3339(ms) for ms in finding.span_ms)
        found["decided_on"] = {"start": start, "end": end, "n": finding.n}
    return found


def budget(finding: Finding) -> dict[str, Any] | None:
    """What of the alarm budget the finding's level comes from; None for an objective."""
    share = finding.share
    if share is None:
        return None
    return {
        "false_alarms_per_week": share.false_alarms_per_week,
        "share": share.of_budget,
        "windows_per_week": share.windows_per_week,
        "chance_per_window": share.chance,
        "hold": share.hold,
    }


def sentence_of(summary: Mapping[str, Any], findings: Sequence[Finding]) -> str | None:
    """What could not be judged and what it would take; None if all was, or something breaches."""
    lacking = [f for f in findings if f.verdict == NOT_ENOUGH]
    if not lacking or any(f.verdict == BREACH for f in findings):
        return None
    names = sorted({f.feature.partition(".")[2] if f.feature else f.measure for f in lacking})
    fires = max((f.n_fires for f in lacking if f.n_fires), default=None)
    finds = max((f.n_finds for f in lacking if f.n_finds), default=None)
    said = f"not enough data for {', '.join(names[:3])}"
    said += f" and {len(names) - 3} more" if len(names) > 3 else ""
    said += f": {summary['count']} events"
    if fires is not None:
        said += f"; the rule can fire from {fires}"
    if finds is not None:
        said += f" and finds what it should from {finds}"
    return said

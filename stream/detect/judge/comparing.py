"""Comparing: a window beside its references in, comparisons out; verdicts into its summary.

In    a `Due` window and its references; findings
Out   a `Comparison` per reference and feature; the summary with verdicts
Not   the measures (measures.py), which reference counts (judge.py), the rules (rules.py)
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import nan
from typing import Any

import numpy as np

from kernels.measures import significance
from stream.detect.judge.enough import sentence_of, sizing
from stream.detect.judge.findings import BREACH, NO_DATA, NOT_ENOUGH, OK, Finding
from stream.detect.judge.measures import Comparison, compare_features
from stream.detect.judge.parts import Due
from stream.detect.judge.past import Past
from stream.detect.judge.summaries import tidy
from stream.detect.references import Reference


def compare_all(
    due: Due, references: Mapping[str, Reference], past: Past
) -> dict[str, dict[str, Comparison]]:
    """Every feature of the window beside every reference, with q-values over the features."""
    state = due.state
    if state is None:
        return {}
    compared: dict[str, dict[str, Comparison]] = {}
    for under, reference in references.items():
        known = state.features.keys() | reference.state.features.keys()
        noise_of = partial(past.noise, due.window.length_ms, under)
        # A feature that vanished is compared too: all of it is missing.
        names = [name for name in sorted(known) if not name.startswith("service.")]
        found = compare_features(names, state, reference, noise_of)
        p_values = np.array([c.p_values.get("psi", nan) for c in found.values()])
        q_values = significance.benjamini_hochberg(p_values) if len(found) else p_values
        for comparison, q_value in zip(found.values(), q_values.tolist(), strict=True):
            comparison.q_value = q_value
        compared[under] = found
    return compared


RANK = (NO_DATA, OK, NOT_ENOUGH, BREACH)  # of several findings the last of these counts


def write_verdicts(summary: dict[str, Any], findings: list[Finding]) -> None:
    """The worst verdict of the window, and of each feature under each reference."""
    verdicts = {finding.verdict for finding in findings}
    worst = max(verdicts, key=RANK.index, default=NOT_ENOUGH if summary["count"] else NO_DATA)
    summary["verdict"] = worst
    for finding in findings:
        for body in _bodies(summary, finding.feature):
            measures = body.get("measures", {}).get(finding.reference)
            if measures is not None:
                told = measures.get("verdict", NO_DATA)
                measures["verdict"] = max(told, finding.verdict, key=RANK.index)
                measures.update(tidy(sizing(finding)))
    summary["summary"] = sentence_of(summary, findings)


def _bodies(summary: dict[str, Any], feature: str | None) -> list[dict[str, Any]]:
    section, _, name = (feature or "").partition(".")
    prediction = summary["prediction"] or {}
    if section == "feature":
        return [summary["features"][name]] if name in summary["features"] else []
    if section == "prediction" and prediction:
        return [prediction.get("label", prediction) if name == "label" else prediction]
    return []

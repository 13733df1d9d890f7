"""Quality: what the benchmark of false alarms and power feeds the rules is what sketches make."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks import quality_detection as quality
from benchmarks.detection_peers import Peers
from benchmarks.detection_streams import NOTHING, Change, Law, feature, trained
from stream.detect.judge.measures import compare
from tests.builders import event, ingestor, messages

LAWS = pytest.mark.parametrize("law", [Law("normal"), Law("Student t, 3"), Law("Zipf", 100)])


@LAWS
def test_counts_on_the_bins_are_those_of_the_sketches(law: Law) -> None:
    """The same draws, once through events, sketches and comparison, once counted directly."""
    rng = np.random.default_rng(3)
    one = feature(law, np.random.default_rng(5), "x", m=2_000)
    known, _ = trained(law, np.random.default_rng(5), m=2_000)
    values = law.draw(rng, 700)
    sent = [f"c{int(v):04d}" if law.is_category else float(v) for v in values]
    worker = ingestor(references={("m", "1"): known})
    worker.add(messages(*[event(1, {"x": v}) for v in sent]))
    [part] = worker.finish().partials
    compared = compare("feature.x", part.state.features["feature.x"], 700, known)
    assert compared is not None
    assert compared.current.tolist() == one.counts(values).tolist()
    assert compared.reference.tolist() == one.blank.reference.tolist()


@LAWS
@pytest.mark.parametrize("change", [NOTHING, Change(shift=0.5, scale=1.5, mass=0.1)])
def test_counts_are_drawn_with_the_probabilities_of_the_law(law: Law, change: Change) -> None:
    rng = np.random.default_rng(7)
    one = feature(law, rng, "x")
    drawn = one.counts(change.apply(law, law.draw(rng, 100_000), rng))
    expected = one.probabilities(change) * 100_000
    likely = expected > 5
    _, p_value = stats.chisquare(
        np.append(drawn[likely], drawn[~likely].sum() + 1e-9),
        np.append(expected[likely], expected[~likely].sum() + 1e-9),
    )
    assert p_value > 1e-3


def test_a_rate_is_too_large_by_a_test_or_by_half() -> None:
    assert not quality.Rate(25, 500).is_too_large
    assert not quality.Rate(36, 500).is_too_large
    assert quality.Rate(38, 500).is_too_large
    assert quality.Rate(8, 100).is_too_large  # no test says so, but it is more than 7.5


def test_a_page_gets_its_tables_between_its_markers() -> None:
    text = "a\n<!-- t -->\nold\n<!-- /t -->\nb"
    assert quality.page(text, {"t": [["x", "y"], ["1", "2"]]}) == (
        "a\n<!-- t -->\n| x | y |\n|---|--:|\n| 1 | 2 |\n<!-- /t -->\nb"
    )


def test_other_tools_rules_call_a_large_change_drift() -> None:
    rng = np.random.default_rng(1)
    law = Law("normal")
    values = law.draw(rng, 10_000)
    rules = Peers(law, values, 1_000).rules()
    assert {name for name, fires in rules.items() if fires(law.draw(rng, 1_000) + 1)} == set(rules)
    assert not rules["PSI > 0.1"](law.draw(rng, 1_000))


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 200])
def test_a_budget_holds_from_the_first_window_of_autocorrelated_traffic(n: int) -> None:
    rate = quality.alarms_in_weeks(n, 8, 0.9)
    assert not rate.is_too_large

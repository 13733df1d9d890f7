"""Reference tables: on real data the windows are what numpy, pandas and scipy computed once.

The tables and their definitions stand in tests/data; the data in examples. Per window and feature
    exact       categories, and numbers whose values are all counted one by one
    unseen      numbers of a counted reference, in a window with values it does not have
    continuous  numbers with more than 512 values in the reference, counted in cells
That counts of a continuous feature are exact on their own edges is for test_frozen_edges.py; what
other tools themselves gave for the same data, for tests/kernels/measures/test_peers.py.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

from kernels.sketches import logbins
from stream.detect.states import NumberState
from tests.example_runs import LENGTHS_DAYS, ROOT, Run, run

pytestmark = pytest.mark.slow

NINE_DIGITS = 5e-9  # of a value: how it stands in a table
EXACT = 1e-8
# Where a value is not counted one by one, it stands in the middle of a cell.
UNSEEN_JENSEN_SHANNON = 0.002
UNSEEN_PSI = 0.005  # of psi + 0.02
UNSEEN_WASSERSTEIN = 0.02  # standard deviations of the reference
# A continuous feature has its deciles snapped to borders of cells. Counts on these are exact, but
# the bins are others than the tables': where a cell holds 6 % of a reference (`humid`: whole
# airports share one reading), up to half of that goes to the neighbouring bin.
SNAPPED_JENSEN_SHANNON = 0.03
SNAPPED_PSI = 0.35  # of psi + 0.02
SNAPPED_WASSERSTEIN = 0.005  # standard deviations of the reference

Row = dict[str, str]


RUNS = [(example, split) for example in LENGTHS_DAYS for split in ("stream", "reference")]
every_run = pytest.mark.parametrize(("example", "split"), RUNS)


@cache
def table(example: str, split: str) -> tuple[Row, ...]:
    path = ROOT / f"tests/data/{example}_windows_scipy.csv.gz"
    with gzip.open(path, "rt") as file:
        return tuple(row for row in csv.DictReader(file) if row["split"] == split)


class Cell(NamedTuple):
    """One row of a table beside what the detector says of the same feature and window."""

    row: Row
    found: dict[str, Any]
    kind: str  # exact, unseen, continuous
    now: NumberState | None
    known: NumberState | None

    def expected(self, column: str) -> float:
        return float(self.row[column])

    @property
    def measures(self) -> dict[str, float]:
        measures: dict[str, float] = self.found["measures"]["training"]
        return measures


def cells(example: str, split: str, *kinds: str, needs: str = "n") -> list[Cell]:
    """The rows of a table that are of one of these kinds and have a value in a column."""
    found = [beside(run(example, split), row) for row in table(example, split) if row[needs]]
    return [cell for cell in found if cell.kind in kinds or not kinds]


def beside(whole: Run, row: Row) -> Cell:
    start, feature = row["window_start"], row["feature"]
    is_score = feature == "y_score"
    name = "prediction.score" if is_score else f"feature.{feature}"
    window = whole.windows[start]
    found = window["prediction"] if is_score else window["features"][feature]
    state, known = whole.parts[start].state.features.get(name), whole.reference.feature(name)
    now, before = state and state.number, known and known.number
    if row["kind"] != "num" or (now and now.is_atomic):
        kind = "exact"
    else:
        kind = "unseen" if before and before.is_atomic else "continuous"
    return Cell(row, found, kind, now, before)


def far(
    found: list[Cell],
    ours: Callable[[Cell], float],
    theirs: str,
    tolerance: Callable[[Cell], float],
) -> dict[tuple[str, str], tuple[float, float]]:
    """Values that are further apart than is promised, by window and feature."""
    assert found, "nothing to compare"
    return {
        (cell.row["window_start"], cell.row["feature"]): (ours(cell), cell.expected(theirs))
        for cell in found
        if not abs(ours(cell) - cell.expected(theirs)) <= tolerance(cell)
    }


def digits(column: str) -> Callable[[Cell], float]:
    """What nine digits of a value, and of the spread it was computed in, leave open."""
    return lambda cell: NINE_DIGITS * (abs(cell.expected(column)) + 1e-9)


@every_run
def test_every_window_of_a_table_is_told(example: str, split: str) -> None:
    assert run(example, split).windows.keys() == {r["window_start"] for r in table(example, split)}


@every_run
def test_counts_are_exact(example: str, split: str) -> None:
    whole = run(example, split)
    told = {start: window["count"] for start, window in whole.windows.items()}
    assert told == {row["window_start"]: int(row["n"]) for row in table(example, split)}
    assert whole.reference.state.events == int(table(example, split)[0]["n_ref"])


@every_run
def test_shares_of_missing_values_are_those_of_the_table(example: str, split: str) -> None:
    def ours(cell: Cell) -> float:
        return float(cell.found["missing"]) / int(cell.row["n"])

    assert far(cells(example, split), ours, "missing", digits("missing")) == {}


@every_run
def test_means_have_the_digits_of_the_table(example: str, split: str) -> None:
    found = cells(example, split, needs="mean")
    assert far(found, lambda cell: cell.found["mean"], "mean", digits("mean")) == {}


@every_run
def test_standard_deviations_have_the_digits_of_the_table(example: str, split: str) -> None:
    def ours(cell: Cell) -> float:
        n = cell.found["count"]
        return float(cell.found["std"] * np.sqrt((n - 1) / n))  # ours has ddof 1

    assert far(cells(example, split, needs="std"), ours, "std", digits("std")) == {}


EXACT_COLUMNS = {
    "ks_stat": "ks",
    "wasserstein_norm": "wasserstein_normed",
    "psi_decile": "psi_observed",
    "psi_decile_nan": "psi",
    "js_decile": "jensen_shannon_observed",
    "linf": "l_infinity_observed",
    "chi2_stat": "chi2_observed",
    "js_cat": "jensen_shannon_observed",
}


@pytest.mark.parametrize("column", EXACT_COLUMNS)
@every_run
def test_measures_of_what_is_counted_one_by_one_are_exact(
    example: str, split: str, column: str
) -> None:
    name = EXACT_COLUMNS[column]
    found = cells(example, split, "exact", needs=column)
    assert (
        far(
            found,
            lambda cell: cell.measures[name],
            column,
            lambda cell: EXACT * (1 + cell.expected(column)),
        )
        == {}
    )


@every_run
def test_psi_of_categories_is_exact_where_no_value_is_unseen(example: str, split: str) -> None:
    found = [c for c in cells(example, split, needs="psi_cat") if not float(c.row["unseen_share"])]
    assert far(found, lambda cell: cell.measures["psi_observed"], "psi_cat", lambda _: EXACT) == {}


@every_run
def test_unseen_categories_are_those_of_the_table(example: str, split: str) -> None:
    found = [cell for cell in cells(example, split) if cell.row["kind"] != "num"]
    told = {
        (c.row["window_start"], c.row["feature"]): (
            "|".join(sorted(value for value, _ in c.found["unseen_values"])),
            pytest.approx(c.found["unseen"] / c.found["count"], abs=NINE_DIGITS),
        )
        for c in found
    }
    assert told == {
        (c.row["window_start"], c.row["feature"]): (
            "|".join(sorted(c.row["unseen"].split("|"))),
            float(c.row["unseen_share"]),
        )
        for c in found
    }


def psi_tolerance(share: float) -> Callable[[Cell], float]:
    return lambda cell: share * (0.02 + cell.expected("psi_decile"))


def spread_tolerance(share: float) -> Callable[[Cell], float]:
    return lambda cell: share * cell.expected("std_ref")


UNSEEN = [
    ("jensen_shannon_observed", "js_decile", lambda _: UNSEEN_JENSEN_SHANNON),
    ("psi_observed", "psi_decile", psi_tolerance(UNSEEN_PSI)),
    ("psi", "psi_decile_nan", psi_tolerance(UNSEEN_PSI)),
    ("wasserstein", "wasserstein", spread_tolerance(UNSEEN_WASSERSTEIN)),
]
SNAPPED = [
    ("jensen_shannon_observed", "js_decile", lambda _: SNAPPED_JENSEN_SHANNON),
    ("psi_observed", "psi_decile", psi_tolerance(SNAPPED_PSI)),
    ("psi", "psi_decile_nan", psi_tolerance(SNAPPED_PSI)),
    ("wasserstein", "wasserstein", spread_tolerance(SNAPPED_WASSERSTEIN)),
]


@pytest.mark.parametrize(("name", "column", "tolerance"), UNSEEN, ids=[x[0] for x in UNSEEN])
def test_values_a_reference_does_not_have_blur_a_measure_a_little(
    name: str, column: str, tolerance: Callable[[Cell], float]
) -> None:
    found = cells("flights", "stream", "unseen", needs=column)
    assert far(found, lambda cell: cell.measures[name], column, tolerance) == {}


@pytest.mark.parametrize("example", LENGTHS_DAYS)
@pytest.mark.parametrize(("name", "column", "tolerance"), SNAPPED, ids=[x[0] for x in SNAPPED])
def test_measures_of_a_continuous_feature_are_near_those_of_the_table(
    example: str, name: str, column: str, tolerance: Callable[[Cell], float]
) -> None:
    found = cells(example, "stream", "continuous", needs=column)
    assert far(found, lambda cell: cell.measures[name], column, tolerance) == {}


def largest_share(cell: Cell) -> float:
    """Of the fullest cell, on either side: what happens inside a cell nobody sees."""
    assert cell.now is not None
    assert cell.known is not None
    shares = (number.cells.max() / number.cells.sum() for number in (cell.now, cell.known))
    return float(max(shares)) + EXACT


@pytest.mark.parametrize("example", LENGTHS_DAYS)
def test_ks_is_right_to_the_share_of_the_fullest_cell(example: str) -> None:
    found = cells(example, "stream", "unseen", "continuous", needs="ks_stat")
    assert far(found, lambda cell: cell.measures["ks"], "ks_stat", largest_share) == {}


def cell_width(column: str) -> Callable[[Cell], float]:
    """Of the cell in which the value of the table lies, and of its wider neighbour."""

    def width(cell: Cell) -> float:
        assert cell.now is not None
        edges = logbins.cell_edges(*cell.now.grid)
        at = logbins.cell_of(cell.expected(column), *cell.now.grid)
        return float(np.diff(edges)[at - 1 : at + 2].max())

    return width


@pytest.mark.parametrize(("column", "quantile"), [("median", "p50"), ("p95", "p95")])
@pytest.mark.parametrize("example", LENGTHS_DAYS)
def test_quantiles_are_right_to_a_cell(example: str, column: str, quantile: str) -> None:
    found = cells(example, "stream", "unseen", "continuous", needs=column)
    ours = far(found, lambda c: c.found["quantiles"][quantile], column, cell_width(column))
    assert ours == {}


@pytest.mark.parametrize(("column", "quantile"), [("median", "p50"), ("p95", "p95")])
@every_run
def test_quantiles_of_what_is_counted_one_by_one_are_exact(
    example: str, split: str, column: str, quantile: str
) -> None:
    found = cells(example, split, "exact", needs=column)
    ours = far(found, lambda c: c.found["quantiles"][quantile], column, digits(column))
    assert ours == {}


CHANGE = "2019-03-31T03:00:00Z"
CHANGED = {
    "car_value",
    "loan_length",
    "repaid_loan_on_prev_car",
    "salary_range",
    "prediction.score",
}


def test_car_loan_drifts_after_the_change_that_was_put_in_and_nowhere_else() -> None:
    alerts = [alert["data"] for alert in run("carloan", "stream").alerts]
    assert {alert["feature"] for alert in alerts if alert["state"] == "firing"} == CHANGED
    assert min(alert["window"]["end"] for alert in alerts) > CHANGE
    assert max(alert["window"]["start"] for alert in alerts) <= "2019-04-04T00:00:00Z"
    assert {alert["reason"] for alert in alerts} == {"first"}


def test_car_loan_before_the_change_is_quiet() -> None:
    windows = run("carloan", "stream").windows
    before = [w["verdict"] for start, w in windows.items() if w["end"] <= CHANGE]
    assert len(before) > 10
    assert set(before) == {"ok"}


@pytest.mark.parametrize("example", ["carloan", "carloan_dq"])
def test_the_reference_of_car_loan_never_drifts_from_itself(example: str) -> None:
    assert run(example, "reference").alerts == []

"""Scenarios: the same bytes for ever, a truth that is true, mistakes refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from stream.errors import UsageError
from stream.replay.scenarios import ScenarioSpec, generate
from stream.replay.scenarios_kinds import ALL_KINDS, KINDS

EXAMPLE = Path(__file__).parents[3] / "examples/credit_risk/faults.json"
QUIET: dict[str, Any] = {
    "preset": "none", "rate": 0.05, "seed": 3, "seasonality": False, "hours": 30,
    "label_delay_h": 1,
}  # fmt: skip
OVERLAPPING: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("overlapping_faults.json").read_text("utf-8")
)

# SHA-256 of all prediction lines and of all label lines, by an independent first generator.
HASHES = {
    "smoke": (
        {"preset": "smoke", "rate": 0.05},
        "30ef6c813e8742723fe7eca7e3df058223c9d8580c9d2fb35b4cfd5ec489a383",
        "d9f9805678cfc8acab870d0b2e0b2f14053a626e38713f631bd6373be74e0559",
    ),
    "all": (
        {"preset": "all", "rate": 0.02},
        "3d6ef889d57e7b72e87dabb766a8cb8692a8f3a2c2705a52e44f9e8b5a32b747",
        "5e941ce57d46bda6295df86dddcb1e33f4a278c4ef3de158a158334c5f5d17f0",
    ),
    "quiet": (
        QUIET,
        "4d73c6e8e9790d5982a06078576a5afeb65b371ff6d5d0f6359c7e824a456460",
        "bd7a157ce663612daf81ddb9fdadfdf9aacd92772de93f4577b60d449ed92fad",
    ),
    "overlapping": (
        {"rate": 0.1, "seed": 9, "ref_hours": 1, "faults": OVERLAPPING},
        "8d87ff882a3e1a58fbd91e64658365bf9325500d7edd7327ad06d7088fb0638f",
        "1ed77a6c8747fc35b5faaaa68a0f6548907dca637580e3b4c2455af603205c4c",
    ),
}


def hashes(spec: ScenarioSpec) -> tuple[str, str]:
    sums = {"prediction": hashlib.sha256(), "label": hashlib.sha256()}
    for kind, line in generate(spec):
        sums[kind].update(line)
    return sums["prediction"].hexdigest(), sums["label"].hexdigest()


def events(spec: ScenarioSpec, kind: str = "prediction") -> list[dict[str, Any]]:
    return [json.loads(line) for of, line in generate(spec) if of == kind]


@pytest.mark.parametrize("name", HASHES)
def test_a_scenario_has_the_bytes_it_always_had(name: str) -> None:
    given, predictions, labels = HASHES[name]
    assert hashes(ScenarioSpec(**given)) == (predictions, labels)


def test_iterating_twice_gives_the_same_lines_and_the_same_truth() -> None:
    scenario = generate(ScenarioSpec(preset="smoke", rate=0.002))
    first, truth = list(scenario), scenario.truth
    assert (list(scenario), scenario.truth) == (first, truth)


def test_another_seed_gives_another_stream() -> None:
    assert hashes(ScenarioSpec(**QUIET)) != hashes(ScenarioSpec(**QUIET | {"seed": 4}))


def test_lines_leave_in_order_of_arrival_and_label_time() -> None:
    times = [
        event.get("arrival_time") or event["ts"]
        for event in (json.loads(line) for _, line in generate(ScenarioSpec(**QUIET)))
    ]
    assert times == sorted(times)


def test_every_kind_is_in_the_preset_with_all() -> None:
    assert {fault["kind"] for fault in ALL_KINDS} == set(KINDS)
    assert len(KINDS) == 21


def test_the_truth_counts_what_was_sent() -> None:
    scenario = generate(ScenarioSpec(preset="smoke", rate=0.01))
    sent = [kind for kind, _ in scenario]
    counts = scenario.truth["counts"]
    assert counts["emitted"] == sent.count("prediction") > counts["unique_events"]
    assert counts["labels"] == sent.count("label")


def test_the_truth_names_every_fault_with_its_times_and_counts() -> None:
    scenario = generate(ScenarioSpec(rate=0.02, hours=67, faults=json.loads(EXAMPLE.read_text())))
    predictions = [json.loads(line) for kind, line in scenario if kind == "prediction"]
    fault = scenario.truth["faults"][0]
    inside = [e for e in predictions if fault["start"] <= e["ts"] < fault["end"]]
    assert (fault["id"], fault["start"], fault["end"]) == (
        "f00_latency_regression", "2025-03-05T12:00:00.000Z", "2025-03-05T18:00:00.000Z",
    )  # fmt: skip
    assert fault["n_affected"] == len(inside) > 0
    assert fault["expected_signals"] == ["SLA latency"]
    assert fault["should_alert"] is True


def test_the_example_faults_are_six_hours_long_with_twelve_quiet_hours_before_each() -> None:
    faults = json.loads(EXAMPLE.read_text())
    ends = [48, *(fault["end_h"] for fault in faults)]
    assert [fault["end_h"] - fault["start_h"] for fault in faults] == [6, 6, 6]
    assert [f["start_h"] - end for f, end in zip(faults, ends, strict=False)] == [12, 12, 12]


def test_a_unit_change_multiplies_the_recorded_income_only_inside_its_interval() -> None:
    fault = {"kind": "unit_change", "feature": "income", "start_h": 1, "end_h": 2}
    spec = ScenarioSpec(rate=0.05, hours=3, faults=[fault], start="2025-01-01T00:00:00")
    incomes: dict[bool, list[float]] = {True: [], False: []}
    for event in events(spec):
        incomes[event["ts"][11:13] == "01"].append(event["features"]["income"])
    assert min(incomes[True]) > 1e6 > max(incomes[False])


FAULT = {"kind": "unit_change", "feature": "income", "start_h": 1, "end_h": 2}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"preset": "most"}, r"preset 'most' is unknown; accepted: all, smoke, none"),
        ({"rate": 0}, r"rate must be above 0, got 0"),
        ({"hours": float("inf")}, r"hours must be above 0"),
        ({"start": "yesterday"}, r"start 'yesterday' is no date"),
        ({"faults": [{}]}, r"faults\[0\]: unknown kind 'None'"),
        ({"faults": [FAULT, FAULT | {"kind": "unit_chang"}]}, r"faults\[1\].*'unit_change'"),
        ({"faults": [FAULT | {"facto": 2}]}, r"unknown option 'facto'; nearest is 'factor'"),
        ({"faults": [FAULT | {"factor": "2"}]}, r"factor must be a number, got '2'"),
        ({"faults": [FAULT | {"feature": "incom"}]}, r"'incom'; nearest is 'income'"),
        ({"faults": [FAULT | {"end_h": 1}]}, r"start_h must be at least 0 and below end_h"),
        ({"faults": [{"kind": "label_shift", "start_h": 1}]}, r"\(label_shift\): needs end_h"),
        ({"faults": [{"kind": "nan_burst", "start_h": 1, "end_h": 2}]}, r"needs feature"),
        ({"faults": [FAULT | {"kind": "schema_type_change", "mode": "int"}]}, r"mode 'int'"),
    ],
)
def test_a_wrong_spec_is_refused_in_one_line(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as error:
        generate(ScenarioSpec(**given))
    assert "\n" not in str(error.value)

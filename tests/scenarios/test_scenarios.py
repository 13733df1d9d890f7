"""Scenarios: a small stream and its configuration in, the alerts of each window expected.

A scenario is a YAML file in this folder:

    says      what it shows, in one sentence
    config    the text of a configuration file; the model is called `m`
    training  a row like those of `windows`; without it there is no reference
    windows   one row per window, in time:
                n            events, 200 unless given
                latency_ms   a draw (below); errors: share of failed requests; segment: a mapping
                late         rows whose events belong to an earlier window: {window: 0, n: 50, …}
                alerts       what is told of this window: "rule feature reason", in order, with the
                             segment in brackets behind; nothing unless given
                verdict      of the window, if it matters
                any other    a feature, as a draw
A draw is a constant, a list that is repeated, or one of {normal: [mean, spread]},
{lognormal: [mean, spread]}, {choice: {a: 0.7, b: 0.3}}; {missing: 0.1, of: a draw} leaves some out.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from stream.settings import load
from tests.builders import Pipeline, event, reference

FOLDER = Path(__file__).parent
SCENARIOS = sorted(FOLDER.glob("*.yaml"))
WINDOW_S = 60
NO_FEATURES = {
    "n",
    "latency_ms",
    "errors",
    "segment",
    "late",
    "alerts",
    "verdict",
    "score",
    "window",
}


def drawn(what: Any, n: int, rng: np.random.Generator) -> list[Any]:
    """n values; None where one is missing."""
    if isinstance(what, list):
        return [what[i % len(what)] for i in range(n)]
    if not isinstance(what, dict):
        return [what] * n
    if "missing" in what:
        values = drawn(what["of"], n, rng)
        return [
            None if u < what["missing"] else v for u, v in zip(rng.random(n), values, strict=True)
        ]
    [(law, of)] = what.items()
    if law == "choice":
        return [str(v) for v in rng.choice(list(of), n, p=list(of.values()))]
    return list(map(float, getattr(rng, law)(*of, n)))


def events_of(row: dict[str, Any], second: float, rng: np.random.Generator) -> list[dict[str, Any]]:
    """The events of a row, spread evenly over its window."""
    n = row.get("n", 200)
    names = [name for name in row if name not in NO_FEATURES]
    columns = {name: drawn(row[name], n, rng) for name in names}
    optional = {
        "latency_ms": drawn(row.get("latency_ms"), n, rng),
        "prediction": drawn(row.get("score"), n, rng),
    }
    failed = rng.permutation(n) < row.get("errors", 0) * n
    return [
        event(
            second + WINDOW_S * i / n,
            {name: columns[name][i] for name in names},
            status="error" if failed[i] else "ok",
            segment=row.get("segment"),
            **{key: values[i] for key, values in optional.items() if values[i] is not None},
        )
        for i in range(n)
    ]


def told(path: Path, folder: Path) -> list[dict[str, Any]]:
    """What is told of each window of a scenario: alerts, and the verdict of its last revision."""
    scenario = yaml.safe_load(path.read_text(encoding="utf-8"))
    rng = np.random.default_rng(zlib.crc32(path.stem.encode()))
    config = folder / path.name
    config.write_text(scenario["config"], encoding="utf-8")
    training = scenario.get("training")
    known = reference(events_of(training, 0, rng)) if training else None
    pipeline = Pipeline(load(config).detector, known)
    verdicts = []
    for at, row in enumerate(scenario["windows"]):
        events = events_of(row, WINDOW_S * at, rng)
        for late in row.get("late", []):
            events += events_of(late, WINDOW_S * late["window"], rng)
        verdicts.append(pipeline.feed(*events))
    verdicts.append(pipeline.finish())
    found: list[dict[str, Any]] = [{"alerts": []} for _ in scenario["windows"]]
    by_start = {event(WINDOW_S * at)["ts"]: one for at, one in enumerate(found)}
    for window in (w for v in verdicts for w in v.windows if w["segment"] is None):
        by_start[ms(window["start"])]["verdict"] = window["verdict"]
    for alert in (a["data"] for v in verdicts for a in v.alerts):
        by_start[ms(alert["window"]["start"])]["alerts"].append(line_of(alert))
    return found


def ms(time: str) -> int:
    return int(np.datetime64(time.removesuffix("Z"), "ms").astype(np.int64))


def line_of(alert: dict[str, Any]) -> str:
    words = [alert["rule"], alert["feature"], alert["reason"]]
    words.append(f"[{alert['segment']}]" if alert["segment"] else None)
    return " ".join(word for word in words if word)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_is_told_as_it_says(path: Path, tmp_path: Path) -> None:
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))["windows"]
    found = told(path, tmp_path)
    expected = [{"alerts": row.get("alerts", [])} for row in rows]
    assert [{"alerts": one["alerts"]} for one in found] == expected
    verdicts = {at: row["verdict"] for at, row in enumerate(rows) if "verdict" in row}
    assert {at: found[at].get("verdict") for at in verdicts} == verdicts


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_says_what_it_shows(path: Path) -> None:
    says = yaml.safe_load(path.read_text(encoding="utf-8"))["says"]
    assert says.endswith(".")


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) > 10

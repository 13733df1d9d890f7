"""Quality of detection: stationary and changed streams in, false alarms and power in docs out.

    python -m benchmarks.quality_detection [--whole]

Out   the tables of docs/quality.md; exit code 1 if a rate of false alarms is above what it may be
Not   how streams are made (detection_streams.py), other tools' rules (detection_peers.py)

A run is one window of a stationary stream, after at least BURN_IN others of it that taught its
noise. A rate is above its nominal one if a binomial test says so at 1 %, one-sided, or if it is
more than 1.5 times as large. The nominal rate of a window is 5 % in the grid; a budget is checked
over whole weeks.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.detection_peers import Peers
from benchmarks.detection_streams import (
    NOTHING,
    STREAM,
    Change,
    Law,
    Rng,
    Traffic,
    autocorrelated,
    feature,
    trained,
)
from benchmarks.report import replaced
from stream.detect.judge.alerts import AlertBook
from stream.detect.judge.findings import BREACH
from stream.detect.specs import WEEK_MS, ModelSpec, RuleSpec

PAGE = Path(__file__).parents[1] / "docs/quality.md"
SIZES = (50, 100, 200, 500, 1_000, 5_000, 100_000)
FEATURES = (1, 20, 200)
LAWS = (
    Law("normal"), Law("lognormal"), Law("Student t, 3"),
    Law("Zipf", 10), Law("Zipf", 100), Law("Zipf", 1_000),
)  # fmt: skip
NOMINAL = 0.05
BURN_IN = 16
LENGTH_MS = 3_600_000
SURE = 0.01
MOST = 1.5
SEED = 20_261_121


@dataclass(frozen=True)
class Plan:
    """How much is run: sizes of windows, numbers of features, repetitions."""

    runs: int
    sizes: tuple[int, ...]
    features: tuple[int, ...]
    laws: tuple[Law, ...]
    weeks: int
    power_runs: int
    power_sizes: tuple[int, ...]


WHOLE = Plan(500, SIZES, FEATURES, LAWS, 100, 200, (100, 1_000, 10_000))
QUICK = Plan(100, (50, 1_000), (1, 20), (LAWS[0], LAWS[4]), 5, 20, (100, 1_000))
OURS = {"Driftline": None, "Driftline, above: 0.005": 0.005}
THEIRS = ("Evidently", "NannyML", "PSI > 0.1", "PSI > 0.25", "p < 0.05")
RULES = (*OURS, *THEIRS)
LEVEL_OF_POWER = 0.01  # of our rules in the tables of power
POWERS = (
    ("power-numbers", LAWS[0], False), ("power-categories", LAWS[4], False),
    ("power-autocorrelated", LAWS[0], True),
)  # fmt: skip
AR_SIZES, AR_FEATURES = (50, 100, 200, 500, 1_000, 5_000), (1, 20)
WEEK_SIZES = (50, 200, 1_000)
SHIFTS = tuple(Change(shift=shift) for shift in (0.1, 0.2, 0.5, 1.0))
CHANGES = {
    "normal": {"no change": NOTHING, "0.1 sd": SHIFTS[0], "0.2 sd": SHIFTS[1], "0.5 sd": SHIFTS[2],
               "1 sd": SHIFTS[3], "spread × 1.5": Change(scale=1.5)},
    "Zipf 100": {"no change": NOTHING, "2 % moved": Change(mass=0.02), "5 %": Change(mass=0.05),
                 "10 %": Change(mass=0.1), "15 %": Change(mass=0.15)},
}  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """How often something happened of how many times, beside how often it may."""

    hits: int
    runs: int
    nominal: float = NOMINAL

    @property
    def is_too_large(self) -> bool:
        """Whether chance does not explain so many, or they are half as many again."""
        sure = stats.binomtest(self.hits, self.runs, self.nominal, alternative="greater")
        return bool(sure.pvalue < SURE) or self.hits > MOST * self.nominal * self.runs

    def __str__(self) -> str:
        mark = " **!**" if self.is_too_large else ""
        return f"{100 * self.hits / self.runs:.1f}{mark}"


def model(level: float, hold: int = 1, above: float | None = None) -> ModelSpec:
    """A model whose budget leaves this chance to each window."""
    rule = RuleSpec(name="drift", measure="psi", hold=hold, above=above)
    budget = level * WEEK_MS / LENGTH_MS
    return ModelSpec(name="m", lengths_ms=(LENGTH_MS,), rules=(rule,), false_alarms_per_week=budget)


def seeded(*key: object) -> Rng:
    """Random numbers of one cell, whatever was run before it."""
    return np.random.default_rng([SEED, zlib.crc32(repr(key).encode())])


def false_alarms(
    law: Law, n: int, count: int, runs: int, *, is_autocorrelated: bool = False
) -> Rate:
    """Windows of stationary streams with `count` features in which any of them breaches."""
    rng = seeded("alarms", law, n, count, is_autocorrelated)
    per_stream = 1 if count == 1 else min(50, runs)
    hits = 0
    for _ in range(runs // per_stream):
        traffic = _traffic(law, n, count, rng, model(NOMINAL))
        traffic.is_autocorrelated = is_autocorrelated
        for at, (_, findings) in enumerate(traffic.windows([NOTHING] * (BURN_IN + per_stream))):
            hits += at >= BURN_IN and any(f.verdict == BREACH for f in findings)
    return Rate(hits, runs // per_stream * per_stream)


def _traffic(law: Law, n: int, count: int, rng: Rng, spec: ModelSpec) -> Traffic:
    return Traffic([feature(law, rng, f"x{i}") for i in range(count)], spec, n, rng)


def alarms_in_weeks(n: int, weeks: int, *, is_autocorrelated: bool) -> Rate:
    """Moments at which alarms were told, per week of hourly windows; the budget is one.

    Five normal features, from the first window of a stream on: what it does not know yet of its
    traffic counts, too.
    """
    rng, spec, told = seeded("weeks", n, is_autocorrelated), model(LENGTH_MS / WEEK_MS, hold=2), 0
    for _ in range(weeks):
        traffic = _traffic(LAWS[0], n, 5, rng, spec)
        traffic.is_autocorrelated = is_autocorrelated
        book = AlertBook(STREAM, spec, "")
        for reading, findings in traffic.windows([NOTHING] * (WEEK_MS // LENGTH_MS)):
            events = book.observe(findings, reading)
            told += any(event["data"]["reason"] == "first" for event in events)
    return Rate(told, weeks * (WEEK_MS // LENGTH_MS), LENGTH_MS / WEEK_MS)


def power(law: Law, n: int, change: Change, runs: int, *, is_autocorrelated: bool) -> list[float]:
    """How often each of RULES calls a window with a change drift; ours after quiet windows."""
    rng, hits = seeded("power", law, n, change, is_autocorrelated), np.zeros(len(RULES))
    for _ in range(runs):
        _, values = trained(law, rng)
        now = change.apply(law, law.draw(rng, n), rng)
        if is_autocorrelated:
            now = change.apply(law, law.from_normal(autocorrelated(rng, n)), rng)
        theirs = Peers(law, values, n).rules()
        found = [_ours(law, n, change, rng, above, is_autocorrelated) for above in OURS.values()]
        hits += [*found, *(fires(now) for fires in theirs.values())]
    return [float(share) for share in hits / runs]


def _ours(
    law: Law, n: int, change: Change, rng: Rng, above: float | None, is_autocorrelated: bool
) -> bool:
    traffic = _traffic(law, n, 1, rng, model(LEVEL_OF_POWER, above=above))
    traffic.is_autocorrelated = is_autocorrelated
    *_, (_, findings) = traffic.windows([NOTHING] * BURN_IN + [change])
    return any(finding.verdict == BREACH for finding in findings)


def tables(plan: Plan) -> dict[str, list[list[str]]]:
    """Every table of the page by its marker, as rows of cells, the first of them the header."""
    found = {"false-alarms": [["law, features", *(f"n = {n:,}" for n in plan.sizes)]]}
    for law in plan.laws:
        for count in plan.features:
            found["false-alarms"].append(alarm_row(plan, law, count))
            print(" | ".join(found["false-alarms"][-1]), flush=True)
    found["autocorrelated"] = [["features", *(f"n = {n:,}" for n in ar_sizes(plan))]]
    found["autocorrelated"] += [ar_row(plan, count) for count in AR_FEATURES]
    found["weeks"] = week_rows(plan)
    for marker, law, is_autocorrelated in POWERS:
        found[marker] = power_rows(plan, law, is_autocorrelated)
        print("\n".join(" | ".join(row) for row in found[marker]), flush=True)
    return found


def alarm_row(plan: Plan, law: Law, count: int) -> list[str]:
    """Rates of false alarms by size of the window."""
    rates = [false_alarms(law, n, count, plan.runs) for n in plan.sizes]
    return [f"{law.title}, {count}", *map(str, rates)]


def ar_sizes(plan: Plan) -> tuple[int, ...]:
    """Sizes at which autocorrelated traffic is made."""
    return tuple(n for n in AR_SIZES if n in plan.sizes)


def ar_row(plan: Plan, count: int) -> list[str]:
    """The same for autocorrelated traffic."""
    rates = [
        false_alarms(LAWS[0], n, count, plan.runs, is_autocorrelated=True) for n in ar_sizes(plan)
    ]
    return [str(count), *map(str, rates)]


def week_rows(plan: Plan) -> list[list[str]]:
    """Alarms per week."""
    rows = [["events", *(f"n = {n:,}" for n in WEEK_SIZES)]]
    for name, is_autocorrelated in (("independent", False), ("AR(1), ρ = 0.9", True)):
        rates = [
            alarms_in_weeks(n, plan.weeks, is_autocorrelated=is_autocorrelated) for n in WEEK_SIZES
        ]
        shown = [f"{r.hits / plan.weeks:.2f}{' **!**' * r.is_too_large}" for r in rates]
        rows.append([name, *shown])
    return rows


def power_rows(plan: Plan, law: Law, is_autocorrelated: bool) -> list[list[str]]:
    """For each size and rule, how often each change is called drift."""
    changes = CHANGES[law.title]
    rows = [["n", "rule", *changes]]
    for n in plan.power_sizes:
        columns = [
            power(law, n, change, plan.power_runs, is_autocorrelated=is_autocorrelated)
            for change in changes.values()
        ]
        for name, *shares in zip(RULES, *columns, strict=True):
            rows.append([f"{n:,}", name, *(f"{100 * share:.0f}" for share in shares)])
    return rows


def page(text: str, found: Mapping[str, list[list[str]]]) -> str:
    """The page with new tables between its markers."""
    for marker, (header, *rows) in found.items():
        rule = "|".join(["---", *["--:"] * (len(header) - 1)])
        lines = [f"| {' | '.join(line)} |" for line in (header, *rows)]
        table = "\n".join([lines[0], f"|{rule}|", *lines[1:]])
        text = replaced(text, marker, table)
    return text


def main(words: Sequence[str] | None = None) -> int:
    """Run, write the page if it was the whole; 1 if a rate is too large."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality_detection")
    parser.add_argument("--whole", action="store_true", help="all cells; an hour of one core")
    is_whole = parser.parse_args(words).whole
    found = tables(WHOLE if is_whole else QUICK)
    if is_whole:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    return int(any("**!**" in cell for rows in found.values() for row in rows for cell in row))


if __name__ == "__main__":
    sys.exit(main())

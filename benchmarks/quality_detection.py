"""Quality of detection: stationary and changed streams in, false alarms and power in docs out.

    python -m benchmarks.quality_detection [--whole]

Out   the tables of docs/quality.md; exit code 1 if a rate of false alarms is above what it may be
Not   how streams are made (detection_streams.py), other tools' rules (detection_peers.py)

A run is one window of a stationary stream, after others of it that taught its noise. A rate is
above its nominal one if a binomial test says so at 1 %, one-sided, or if it is more than 1.5 times
as large. The nominal rate of a window is 5 % in the grid; a budget is checked over whole weeks.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from benchmarks.report import commit, replaced
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
SINGLE = RuleSpec(name="drift", measure="psi")
CONFIRMED = RuleSpec(name="drift", measure="psi", hold=2)  # as a rule without a level waits
SEQUENTIAL = RuleSpec(name="creep", measure="psi", sequential=True)
LEARNT = 20  # windows before the first that is judged: enough that sums of windows are, too
UNCOUNTED = 12  # windows, at most, before the first that counts
STREAMS = {1: 250, 20: 20, 200: 5}  # by features: how many the runs come from
AR = 0.9  # correlation of neighbours in autocorrelated traffic
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


WHOLE = Plan(500, SIZES, FEATURES, LAWS, 100, 100, (100, 1_000, 10_000))
QUICK = Plan(100, (50, 1_000), (1, 20), (LAWS[0], LAWS[4]), 5, 20, (100, 1_000))
OURS = {"Driftline": None, "Driftline, above: 0.005": 0.005}
THEIRS = ("Evidently", "NannyML", "PSI > 0.1", "PSI > 0.25", "p < 0.05")
RULES = (*OURS, *THEIRS)
LEVEL_OF_POWER = 0.01  # of our rules in the tables of power
POWERS = (
    ("power-numbers", LAWS[0], 0.0), ("power-categories", LAWS[4], 0.0),
    ("power-autocorrelated", LAWS[0], AR),
)  # fmt: skip
AR_SIZES, AR_FEATURES = (50, 100, 200, 500, 1_000, 5_000), (1, 20)
WEEK_SIZES, WEEK_RHOS = (50, 200, 1_000), (0.0, 0.5, 0.9, 0.95)
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


def model(level: float, rule: RuleSpec = SINGLE) -> ModelSpec:
    """A model whose budget leaves this chance to each window."""
    budget = level * WEEK_MS / LENGTH_MS
    return ModelSpec(name="m", lengths_ms=(LENGTH_MS,), rules=(rule,), false_alarms_per_week=budget)


def seeded(*key: object) -> Rng:
    """Random numbers of one cell, whatever was run before it."""
    return np.random.default_rng([SEED, zlib.crc32(repr(key).encode())])


def false_alarms(law: Law, n: int, count: int, runs: int, rho: float = 0.0) -> Rate:
    """Windows of stationary streams with `count` features in which any of them breaches.

    The first windows of a stream are learnt but not judged; then a few are judged that do not
    count, each stream another number of them: sums of windows end at the same ones.
    """
    rng, streams = seeded("alarms", law, n, count, rho), min(STREAMS[count], runs)
    hits, counted = 0, runs // streams
    for stream in range(streams):
        traffic = _traffic(law, n, count, rng, model(NOMINAL), rho)
        aside = stream % UNCOUNTED
        changes = [NOTHING] * (LEARNT + aside + counted)
        for at, (_, findings) in enumerate(traffic.windows(changes, LEARNT)):
            hits += at >= aside and any(f.verdict == BREACH for f in findings)
    return Rate(hits, streams * counted)


def _traffic(law: Law, n: int, count: int, rng: Rng, spec: ModelSpec, rho: float) -> Traffic:
    return Traffic([feature(law, rng, f"x{i}") for i in range(count)], spec, n, rng, rho)


def alarms_in_weeks(
    n: int, weeks: int, rho: float, rule: RuleSpec = CONFIRMED, together: int = 1
) -> Rate:
    """Moments at which alarms were told, per week of hourly windows; the budget is one.

    Five normal features, from the first window of a stream on: what it does not know yet of its
    traffic counts, too.

    together  weeks of one stream
    """
    rng, spec, told = seeded("weeks", n, rho), model(LENGTH_MS / WEEK_MS, rule), 0
    per_week = WEEK_MS // LENGTH_MS
    for _ in range(weeks // together):
        traffic = _traffic(LAWS[0], n, 5, rng, spec, rho)
        book = AlertBook(STREAM, spec, "")
        for reading, findings in traffic.windows([NOTHING] * (per_week * together)):
            events = book.observe(findings, reading)
            told += any(event["data"]["reason"] == "first" for event in events)
    return Rate(told, weeks // together * together * per_week, 1 / per_week)


def power(law: Law, n: int, change: Change, runs: int, rho: float) -> list[float]:
    """How often each of RULES calls a window with a change drift; ours after quiet windows."""
    rng, hits = seeded("power", law, n, change, rho), np.zeros(len(RULES))
    for _ in range(runs):
        _, values = trained(law, rng)
        drawn = law.from_normal(autocorrelated(rng, n, rho)) if rho else law.draw(rng, n)
        now = change.apply(law, drawn, rng)
        theirs = Peers(law, values, n).rules()
        found = [_ours(law, n, change, rng, above, rho) for above in OURS.values()]
        hits += [*found, *(fires(now) for fires in theirs.values())]
    return [float(share) for share in hits / runs]


def _ours(law: Law, n: int, change: Change, rng: Rng, above: float | None, rho: float) -> bool:
    traffic = _traffic(law, n, 1, rng, model(LEVEL_OF_POWER, replace(SINGLE, above=above)), rho)
    *_, (_, findings) = traffic.windows([NOTHING] * LEARNT + [change], LEARNT)
    return any(finding.verdict == BREACH for finding in findings)


Rows = list[list[str]]  # of a table; the first one is the header


def tables(plan: Plan) -> Iterator[tuple[str, Rows]]:
    """Every table of the page after its marker; the longest one again with each new row."""
    yield "weeks", week_rows(plan, CONFIRMED)
    yield "sequential", week_rows(plan, SEQUENTIAL, together=4)
    header = ["features", *(f"n = {n:,}" for n in ar_sizes(plan))]
    yield "autocorrelated", [header, *(ar_row(plan, count) for count in AR_FEATURES)]
    for marker, law, rho in POWERS:
        yield marker, power_rows(plan, law, rho)
    rows = [["law, features", *(f"n = {n:,}" for n in plan.sizes)]]
    for law in plan.laws:
        for count in plan.features:
            rates = [false_alarms(law, n, count, plan.runs) for n in plan.sizes]
            rows.append([f"{law.title}, {count}", *map(str, rates)])
            yield "false-alarms", rows


def ar_sizes(plan: Plan) -> tuple[int, ...]:
    """Sizes at which autocorrelated traffic is made."""
    return tuple(n for n in AR_SIZES if n in plan.sizes)


def ar_row(plan: Plan, count: int) -> list[str]:
    """The same for autocorrelated traffic."""
    rates = [false_alarms(LAWS[0], n, count, plan.runs, AR) for n in ar_sizes(plan)]
    return [str(count), *map(str, rates)]


def week_rows(plan: Plan, rule: RuleSpec, together: int = 1) -> Rows:
    """Alarms per week."""
    rows = [["events", *(f"n = {n:,}" for n in WEEK_SIZES)]]
    for rho in WEEK_RHOS:
        rates = [alarms_in_weeks(n, plan.weeks, rho, rule, together) for n in WEEK_SIZES]
        shown = [f"{r.hits / plan.weeks:.2f}{' **!**' * r.is_too_large}" for r in rates]
        rows.append([f"AR(1), ρ = {rho}" if rho else "independent", *shown])
    return rows


def power_rows(plan: Plan, law: Law, rho: float) -> Rows:
    """For each size and rule, how often each change is called drift."""
    changes = CHANGES[law.title]
    rows = [["n", "rule", *changes]]
    for n in plan.power_sizes:
        columns = [power(law, n, change, plan.power_runs, rho) for change in changes.values()]
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
    """Run, write the page table by table if it is the whole; 1 if a rate is too large."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality_detection")
    parser.add_argument("--whole", action="store_true", help="all cells; half an hour of one core")
    is_whole, found = parser.parse_args(words).whole, dict[str, Rows]()
    from_commit = commit()
    for marker, rows in tables(WHOLE if is_whole else QUICK):
        for row in rows if marker not in found else rows[-1:]:
            print(" | ".join(row), flush=True)
        found[marker] = [*rows]
        if is_whole:
            made = f"Commit {from_commit}, {time.process_time() / 60:.0f} minutes of one core."
            written = replaced(page(PAGE.read_text(encoding="utf-8"), found), "made", made)
            PAGE.write_text(written, encoding="utf-8")
    return int(any("**!**" in cell for rows in found.values() for row in rows for cell in row))


if __name__ == "__main__":
    sys.exit(main())

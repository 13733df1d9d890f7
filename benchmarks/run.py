"""Run: benchmarks in, results.json and the tables of README.md out.

    python -m benchmarks.run [--only NAME…] [--quick]

Every module bench_*.py has `rows(quick)`; NAME is such a module, with or without bench_. Exit code
1 if one of them failed (its table stays as it was), 2 for a NAME that does not exist.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.measuring import Row
from stream.errors import DriftlineError


def main(words: Sequence[str] | None = None) -> int:
    """Run what the words ask for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Benchmarks.")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--quick", action="store_true", help="a smoke run: less of everything")
    given = parser.parse_args(words)
    try:
        chosen = choose(given.only)
    except ValueError as error:
        parser.error(str(error))
    rows_of: dict[str, list[Row]] = {}
    for name in chosen:
        found = run_one(name, quick=given.quick)
        if found is not None:
            rows_of[name] = found
    if rows_of:
        report.write(rows_of, quick=given.quick)
        print("written: benchmarks/results.json and the tables of benchmarks/README.md")
    return 0 if len(rows_of) == len(chosen) else 1


def names() -> list[str]:
    """All benchmark modules."""
    return sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))


def choose(only: Sequence[str] | None) -> list[str]:
    """The modules these names mean, all for none. Raises ValueError for an unknown one."""
    if not only:
        return names()
    wanted = {name if name.startswith("bench_") else f"bench_{name}" for name in only}
    unknown = sorted(wanted - set(names()))
    if unknown:
        raise ValueError(f"no benchmark {', '.join(unknown)}; there are {', '.join(names())}")
    return [name for name in names() if name in wanted]


def run_one(name: str, *, quick: bool) -> list[Row] | None:
    """The rows of a module; None, and why on standard error, if it fails."""
    print(f"{name} …", flush=True)
    started = time.perf_counter()
    try:
        rows: list[Row] = importlib.import_module(f"benchmarks.{name}").rows(quick)
    except DriftlineError as error:
        print(f"{name} failed: {error}", file=sys.stderr)
        return None
    except Exception:  # the others still tell something
        traceback.print_exc()
        return None
    for row in rows:
        ratio = "" if row["ratio"] is None else f", ratio {report.shown(row['ratio'])}"
        print(f"  {row['name']}: {report.shown(row['ours'])} {row['unit']}{ratio}")
    print(f"{name} took {time.perf_counter() - started:.0f} s", flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())

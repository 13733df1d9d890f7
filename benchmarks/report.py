"""Report: rows and the machine in, results.json and the tables of README.md out.

In    rows by benchmark module
Out   results.json, beside this file, not committed; README.md with new text between its markers
Not   running anything but git

A marker is an HTML comment, `<!-- NAME -->` before and `<!-- /NAME -->` after what is generated.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measuring import Row
from stream.errors import FormatError
from stream.kafka.install import kafka_version

HERE = Path(__file__).parent
PACKAGES = ("numpy", "numba", "aiokafka", "faust-streaming", "orjson")
HEADER = ("| what | ours | peer | unit | ratio | spread | runs |", "|---|--:|--:|---|--:|--:|--:|")
MACHINE = "machine"  # the marker of the first table


def results(rows_of: Mapping[str, list[Row]], *, quick: bool) -> dict[str, Any]:
    """What results.json holds."""
    return {
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "quick": quick,
        "rows": [row for rows in rows_of.values() for row in rows],
    }


def machine() -> dict[str, Any]:
    """The machine, without its name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def versions() -> dict[str, str]:
    """What the figures depend on."""
    packages = {name: version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "kafka": kafka_version(), **packages}


def commit() -> str:
    """Short id of the checked-out commit, with a + if files differ from it."""
    head = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", ":!benchmarks/README.md")
    return (head or "unknown") + ("+" if changed else "")


def _git(*words: str) -> str:
    command = ["git", "--no-optional-locks", *words]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def write(rows_of: Mapping[str, list[Row]], *, quick: bool) -> None:
    """Write results.json, and the tables of the modules that ran."""
    found = results(rows_of, quick=quick)
    (HERE / "results.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    page = HERE / "README.md"
    text = replaced(page.read_text(encoding="utf-8"), MACHINE, machine_table(found))
    for name, rows in rows_of.items():
        text = replaced(text, name, f"{caption(found)}\n\n{table(rows)}")
    page.write_text(text, encoding="utf-8")


def replaced(text: str, name: str, new: str) -> str:
    """The page with other text between the markers of this name.

    Raises FormatError if they are not there exactly once.
    """
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(start) != 1 or text.count(end) != 1:
        raise FormatError(f"README.md: needs {start} and {end}, once each")
    before, _, rest = text.partition(start)
    return f"{before}{start}\n{new}\n{end}{rest.partition(end)[2]}"


def machine_table(found: Mapping[str, Any]) -> str:
    """Machine and versions of the last run."""
    machine, used = found["machine"], found["versions"]
    said = f"{machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}"
    lines = [f"| CPU | {machine['cpu']}, {said} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {number} |" for name, number in used.items())])


def caption(found: Mapping[str, Any]) -> str:
    """Where a table comes from."""
    text = f"{found['date']}, commit {found['commit']}"
    return f"{text}; a smoke run (`--quick`), too short to be believed" if found["quick"] else text


def table(rows: Iterable[Row]) -> str:
    """Rows as a table; names are plain text, for some of them look like paths."""
    return "\n".join([*HEADER, *(_line(row) for row in rows)])


def _line(row: Row) -> str:
    low, high = map(shown, row["spread"])
    cells = [row["name"], shown(row["ours"]), shown(row["peer"]), row["unit"], shown(row["ratio"])]
    return f"| {' | '.join([*cells, f'{low} – {high}', str(row['runs'])])} |"


def shown(figure: float | None) -> str:
    """A figure for people; a dash for none."""
    if figure is None:
        return "–"
    return f"{figure:,.0f}" if abs(figure) >= 1_000 else f"{figure:g}"

"""Recovery: how long a worker that is killed by SIGKILL leaves its events waiting.

In    nothing; an embedded Kafka with live traffic (traffic.py) at the highest of `RATES` that one
      worker carries on this machine beside broker and traffic
Out   rows in seconds of wall time, from SIGKILL until another worker, started at once, has all
      partitions and less than a second of traffic to read: as a new member of the group, which
      waits until the session of the dead one has expired, and as the same static member
Not   what is counted meanwhile: `tests/system/` checks that nothing is lost
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import orjson

from benchmarks import backlog, workloads
from benchmarks.measuring import Row, alone
from benchmarks.processes import ROOT
from benchmarks.worker import OWN_TOPICS, write_reference
from stream.broker import EmbeddedBroker, free_port
from stream.errors import BusError

RATES = (100_000, 50_000, 25_000)  # events per second
SESSION_S = 6
WARM_S, STEADY_S = 12.0, 3.0
KEEP_UP_WITHIN_S, RECOVER_WITHIN_S = 30.0, 90.0
FOR_EVER_S = 86_400
# What is read again: an open pane, its grace, and the ids of earlier panes. What is kept: windows
# that may be revised, so that memory has grown all it will after some minutes.
WINDOW = {
    "length": "60s",
    "pane": "10s",
    "grace": "2s",
    "duplicates_for": "10s",
    "revise_for": "2m",
}


def rows(quick: bool = False) -> list[Row]:
    """As a new member and as a static one."""
    runs = 1 if quick else 2
    with tempfile.TemporaryDirectory(prefix="driftline-bench-") as name:
        folder = Path(name)
        write_reference(folder)
        with EmbeddedBroker(say=print) as broker:
            for rate in RATES:
                found = _at(rate, broker.bootstrap, folder, runs)
                if found is not None:
                    return found
    raise BusError(f"one worker does not keep up with {RATES[-1]:,} events per second here")


def _at(rate: int, bootstrap: str, folder: Path, runs: int) -> list[Row] | None:
    """Rows at one rate; None if a worker does not keep up with it."""
    topic = f"traffic-{rate}"
    found = []
    for kind, static in (("kill9", False), ("kill9_static_member", True)):
        path = configuration(folder, bootstrap, topic, kind.replace("_", "-"), static=static)
        with traffic_at(topic, bootstrap, rate) as publisher:
            figures = _recoveries(path, rate, runs)
            if publisher.poll() is not None:
                raise BusError(f"the publisher ended with code {publisher.returncode}")
        if figures is None:
            print(f"  {rate:,} events/s are too many here", flush=True)
            return None
        unit = f"seconds, at {rate:,} events/s, session timeout {SESSION_S} s"
        found.append(alone(f"recovery/{kind}_seconds", figures, unit))
    return found


def configuration(folder: Path, bootstrap: str, topic: str, name: str, *, static: bool) -> Path:
    """Of a worker on live traffic, with its topics in place."""
    names = {"predictions": topic} | {t: f"{topic}-{name}-{t}" for t in OWN_TOPICS}
    bus = {"bootstrap": bootstrap, "group_prefix": f"{topic}-{name}", "topics": names,
           "session_timeout": f"{SESSION_S}s"}  # fmt: skip
    bus |= {"group_instance_id": "one"} if static else {}
    model = {"kind": "binary", "reference": {"training": "reference.json"}}
    path = folder / f"{topic}-{name}.yaml"
    path.write_bytes(
        orjson.dumps({"bus": bus, "window": WINDOW, "models": {workloads.MODEL: model}})
    )
    backlog.create_topics(bootstrap, topic, path)
    return path


def _recoveries(path: Path, rate: int, runs: int) -> list[float] | None:
    """Seconds of each recovery; None if there is nothing to recover to."""
    figures = []
    worker, port = start(path)
    try:
        for run in range(runs):
            if not _keeps_up(port, rate):
                return None
            time.sleep(WARM_S)
            worker.kill()
            killed = time.monotonic()
            worker.wait()
            worker, port = start(path)
            if not _until(lambda p=port: _lag(p) < rate, RECOVER_WITHIN_S):  # type: ignore[misc]
                return None
            figures.append(time.monotonic() - killed)
            print(f"  recovery {run + 1} of {runs}: {figures[-1]:.1f} s", flush=True)
    finally:
        worker.kill()
        worker.wait()
    return figures


def start(path: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A worker and the port of its pages."""
    port = free_port()
    words = ["stream", "worker", "-c", str(path), "--web-port", str(port)]
    with path.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, stdout=log, stderr=log
        ), port


@contextlib.contextmanager
def traffic_at(topic: str, bootstrap: str, rate: float) -> Iterator[subprocess.Popen[bytes]]:
    """Traffic in a process of its own while the context lasts."""
    words = ["benchmarks.traffic", bootstrap, topic, str(rate), str(FOR_EVER_S)]
    process = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _keeps_up(port: int, rate: int) -> bool:
    """Whether the lag falls below a second of traffic and stays there."""
    since = [0.0]

    def is_steady() -> bool:
        now = time.monotonic()
        since[0] = (since[0] or now) if _lag(port) < rate else 0.0
        return bool(since[0]) and now - since[0] >= STEADY_S

    return _until(is_steady, KEEP_UP_WITHIN_S)


def _until(is_so: object, limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if is_so():  # type: ignore[operator]
            return True
        time.sleep(0.1)
    return False


def health(port: int) -> dict[str, Any]:
    """What a worker says of itself; nothing while it does not answer."""
    link = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request("GET", "/health")
        found: dict[str, Any] = orjson.loads(link.getresponse().read())
    except (OSError, HTTPException, orjson.JSONDecodeError):
        return {}
    finally:
        link.close()
    return found


def _lag(port: int) -> float:
    """Messages not read yet; infinite while not every partition is there."""
    first: dict[str, Any] = next(iter(health(port).get("stages", {}).values()), {"assigned": []})
    return first["lag"] if len(first["assigned"]) == backlog.PARTITIONS else float("inf")


if __name__ == "__main__":
    for row in rows():
        print(row)

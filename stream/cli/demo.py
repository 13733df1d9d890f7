"""driftline demo: everything at once, on this machine, and nothing left running after it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import orjson

from stream.errors import BusError, UsageError
from stream.kafka.install import FILES

EXAMPLES = Path(__file__).parents[2] / "examples"
CREDIT = EXAMPLES / "credit_risk"
CREDIT_START = "2013-12-26T00:00:00"  # side by side with the last week of the flights
CREDIT_HOURS = 192.0
CREDIT_RATE = 0.15  # events per second
READY_S = 60.0
QUIET_S = 8.0  # nothing new for so long after the last event: the worker is through


@dataclass(slots=True)
class _Seen:
    """What came out so far."""

    windows: int = 0
    alerts: Counter[str] = field(default_factory=Counter)
    events: int = 0
    changed_ms: int = 0


@click.command
@click.option("--seconds", type=click.FloatRange(min=5), default=40.0, show_default=True,
              help="How long publishing takes.")  # fmt: skip
@click.option("--no-browser", is_flag=True, help="For scripts: open no page. None is opened yet.")
def demo(seconds: float, no_browser: bool) -> None:
    """An embedded broker, a worker and two models, faster than real time; ends by itself.

    Example: driftline demo --seconds 20
    """
    if not (EXAMPLES / "demo" / "driftline.yaml").exists():
        raise UsageError("the demo needs the examples of a checkout: run it from one")
    from stream.broker import EmbeddedBroker

    with tempfile.TemporaryDirectory(prefix="driftline-demo-") as folder:
        click.echo("starting Kafka …")
        with EmbeddedBroker(say=click.echo) as broker:
            click.echo(f"Kafka answers at {broker.bootstrap}")
            with contextlib.suppress(asyncio.CancelledError):
                asyncio.run(_run(Path(folder), broker.bootstrap, seconds))
                return
    raise click.Abort


async def _run(folder: Path, bootstrap: str, seconds: float) -> None:
    from stream.app import connection_of
    from stream.bus.topics import create_missing, plans
    from stream.settings import load

    me = asyncio.current_task()
    assert me is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    path = _configuration(folder, bootstrap)
    settings = load(path)
    bus, connection = settings.bus, connection_of(settings)
    await create_missing(connection, plans(bus.topics, bus.partitions, bus.replication))
    await _publish_references(settings, connection)
    port = _free_port()
    with _Worker(path, port, folder / "worker.log") as worker:
        await _until_ready(worker, port, folder / "worker.log")
        click.echo(f"worker is ready: metrics at http://127.0.0.1:{port}/metrics")
        click.echo(
            f"windows and alerts as JSON at http://127.0.0.1:{port}/api/windows, /api/alerts"
        )
        seen = _Seen()
        watching = [
            asyncio.create_task(_watch(connection, bus.topics["windows"], seen)),
            asyncio.create_task(_watch(connection, bus.topics["alerts"], seen)),
        ]
        try:
            published, took_s = await _publish(settings, connection, seconds)
            await _until_through(worker, port, published, seen)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        dead = _metric(port, "driftline_dead_letters_total")
    _summary(published, took_s, seen, dead)


def _configuration(folder: Path, bootstrap: str) -> Path:
    text = (EXAMPLES / "demo" / "driftline.yaml").read_text(encoding="utf-8")
    path = folder / "driftline.yaml"
    path.write_text(text.replace("localhost:9092", bootstrap), encoding="utf-8")
    return path


async def _publish_references(settings: Any, connection: Any) -> None:
    from stream.bus.producer import Producer
    from stream.bus.reference_store import record_of
    from stream.clock import SystemClock
    from stream.detect.profiles import ProfileBuilder
    from stream.replay.sources import open_source
    from stream.replay.training import read_runs

    limits, records = settings.detector.limits, []
    flights = open_source(EXAMPLES / "flights" / "flights.parquet", None, {"split": "reference"})
    for source, model, version in (
        (flights, "arrival-delay", "1"),
        (_credit(reference=True), "credit-risk", "7"),
    ):
        click.echo(f"building the reference of {model} …")
        builder = ProfileBuilder(model, version, settings.detector.model(model).features)
        for run, _ in read_runs([source], limits):
            if run is not None:
                builder.add(run)
        records.append(record_of(builder.build(), settings.bus.topics["references"]))
    producer = Producer(connection, SystemClock(), patience_s=30)
    await producer.start()
    await producer.send(records)
    await producer.stop()


def _credit(*, reference: bool = False) -> Any:
    """The generated model: two quiet days for reference, or the stream with its faults."""
    from stream.replay.generated import GeneratedSource
    from stream.replay.scenarios import ScenarioSpec

    faults = [] if reference else orjson.loads((CREDIT / "faults.json").read_bytes())
    spec = ScenarioSpec(
        hours=96.0 if reference else CREDIT_HOURS,
        rate=CREDIT_RATE,
        seed=7 if reference else 1,
        preset="none",
        faults=faults,
        start=CREDIT_START,
    )
    return GeneratedSource(spec, name="credit-risk")


class _Worker:
    """A worker as a child process that cannot outlive the demo, however that ends."""

    def __init__(self, path: Path, port: int, log: Path) -> None:
        worker = [sys.executable, "-m", "stream", "worker", "-c", str(path)]
        keeper = [
            sys.executable,
            "-I",
            "-S",
            str(FILES / "keeper.py"),
            str(os.getpid()),
            str(path.parent),
        ]
        self._words = [*keeper, *worker, "--web-port", str(port)]
        self._log = log.open("wb")

    def __enter__(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C on our terminal is ours to answer, in order.
        self._keeper = subprocess.Popen(
            self._words,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        return self._keeper

    def __exit__(self, *_: object) -> None:
        self._keeper.communicate(b"s")  # told to stop, and made to after a while
        self._log.close()


def _free_port() -> int:
    from stream.broker import free_port

    return free_port()


def _get(port: int, path: str) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return None


def _metric(port: int, name: str) -> float:
    """The sum over all series of a metric."""
    lines = (_get(port, "/metrics") or "").splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


async def _until_ready(worker: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(int(READY_S / 0.2)):
        if worker.poll() is not None:
            raise BusError(f"the worker ended: {_tail(log)}")
        if await asyncio.to_thread(_get, port, "/ready"):
            return
        await asyncio.sleep(0.2)
    raise BusError(f"the worker was not ready within {READY_S:g} s")


def _tail(log: Path) -> str:
    return " | ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])


async def _watch(connection: Any, topic: str, seen: _Seen) -> None:
    from stream.bus.tail import read_topic
    from stream.cli.alerts import line
    from stream.clock import SystemClock

    clock = SystemClock()
    async for value in read_topic(connection, topic, follow=True):
        body = orjson.loads(value)
        seen.changed_ms = clock.monotonic_ms()
        if "data" in body:
            seen.alerts[body["data"]["kind"]] += 1
            click.echo(line(body))
        else:
            seen.windows += 1


async def _publish(settings: Any, connection: Any, seconds: float) -> tuple[int, float]:
    from stream.bus.bulk import BulkPublisher
    from stream.clock import SystemClock
    from stream.replay.sources import merge_by_time, open_source

    clock = SystemClock()
    flights = open_source(EXAMPLES / "flights" / "flights.parquet")
    both = merge_by_time([flights, _credit()])
    click.echo("publishing the flights of 2013 and a generated credit-risk model side by side …")
    expected = (flights.size or 0) + CREDIT_HOURS * 3600 * CREDIT_RATE
    sent, started_ms = 0, clock.monotonic_ms()
    async with BulkPublisher(connection, settings.bus.topics["predictions"]) as publisher:
        chunks: Iterator[Sequence[Any]] = iter(both)
        while chunk := await asyncio.to_thread(next, chunks, None):
            await publisher.publish((m.key, m.value) for m in chunk)
            sent += len(chunk)
            due_ms = started_ms + 1000 * seconds * sent / expected
            await asyncio.sleep(max(0.0, due_ms - clock.monotonic_ms()) / 1000)
    return sent, (clock.monotonic_ms() - started_ms) / 1000


async def _until_through(
    worker: subprocess.Popen[bytes], port: int, published: int, seen: _Seen
) -> None:
    """Return when every event is counted or refused and no window has come for a while."""
    from stream.clock import SystemClock

    clock = SystemClock()
    while True:
        if worker.poll() is not None:
            raise BusError(f"the worker ended with code {worker.returncode}")
        counted = await asyncio.to_thread(_metric, port, "driftline_events_total")
        counted += await asyncio.to_thread(_metric, port, "driftline_dead_letters_total")
        if counted >= published:
            seen.events = int(await asyncio.to_thread(_metric, port, "driftline_events_total"))
            if clock.monotonic_ms() - seen.changed_ms > QUIET_S * 1000:
                return
        await asyncio.sleep(0.5)


def _summary(published: int, took_s: float, seen: _Seen, dead: float) -> None:
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(seen.alerts.items())) or "none"
    click.echo("")
    click.echo(f"events        {seen.events} counted of {published} published")
    click.echo(f"windows       {seen.windows}")
    click.echo(f"alerts        {sum(seen.alerts.values())} ({kinds})")
    click.echo(f"dead letters  {dead:.0f}")
    click.echo(f"speed         {published / took_s:,.0f} events per second published")

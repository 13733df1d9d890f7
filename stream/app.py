"""App: settings in, a running Faust worker out; the only place where everything meets.

The app boots without Faust's own Kafka transport (docs/decisions/0002): the lanes bring theirs.
Kernels are compiled before a lane joins its group, references are read before the first event.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

import faust
from faust.app.base import BootStrategy
from mode import Service

from kernels import warmup
from stream import configured
from stream.agents import IngestAgent, JudgeAgent, attach
from stream.bus.configuration_log import (
    Announced,
    Announcement,
    ConfigurationLog,
    follow,
    settle,
)
from stream.bus.connection import Connection, Security, check_reachable
from stream.bus.lane import Lane, LaneSpec
from stream.bus.producer import Producer
from stream.bus.reference_store import ReferenceStore, read_file
from stream.bus.state_store import StateStore
from stream.bus.topics import plans, require
from stream.clock import Clock, SystemClock
from stream.detect.detector import Detector
from stream.errors import DriftlineError
from stream.heap import keep_what_there_is
from stream.serve.health import Health
from stream.serve.metrics import Metrics
from stream.serve.pages import Page, pages
from stream.serve.recent import Recent
from stream.settings import Settings
from stream.watch import STOPPED_HARD, Watch, end_hard, exit_code_of

SAY_AGAIN_MS = 10_000  # a line of aiokafka's that was said
MOST_TEXTS = 1_000  # that are remembered
TALKATIVE = (
    "aiokafka",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
)

Say = Callable[[str], None]


def _silent(_text: str) -> None:
    pass


class _Boot(BootStrategy):
    """Everything of Faust but its Kafka consumer, producer, assignor and tables."""

    enable_kafka = False


class App(faust.App):
    """A Faust app that boots without Faust's Kafka transport."""

    BootStrategy = _Boot
    pages: Mapping[str, Page] = {}
    say: Say = staticmethod(_silent)

    def _create_directories(self) -> None:
        """No tables, so no folders for them where the worker was started."""

    def on_webserver_init(self, web: Any) -> None:
        """Called by Faust before its web server listens."""
        for path, page in self.pages.items():
            web.web_app.router.add_get(path, page)


class Bus(Service):
    """Everything that talks to Kafka, started in order and stopped in reverse."""

    abstract = False

    def __init__(
        self,
        app: App,
        stores: Sequence[Service],
        producers: Sequence[Producer],
        lanes: Sequence[Lane],
    ) -> None:
        super().__init__()
        self._app, self._stores, self._producers, self._lanes = app, stores, producers, lanes

    async def on_start(self) -> None:
        """Connect everything; the lanes join their groups last."""
        self._app.flow_control.resume()  # channels are closed until somebody says so
        for producer in self._producers:
            await producer.start()
        for service in (*self._stores, *self._lanes):
            await self.add_runtime_dependency(service)
        conf = self._app.conf
        self._app.say(
            f"worker runs: http://{conf.web_bind}:{conf.web_port}/metrics, /health, /ready"
        )

    async def on_stop(self) -> None:
        """Together: with a broker that is away, one after the other would take too long."""
        await asyncio.gather(*(lane.stop() for lane in self._lanes))

    async def on_shutdown(self) -> None:
        """After the lanes have stopped, with their last commits: nothing is sent any more."""
        await asyncio.gather(*(producer.stop() for producer in self._producers))


class Worker(faust.Worker):
    """A Faust worker that is told to stop once and then stops, in time."""

    def install_signal_handlers(self) -> None:
        """Beside what Faust does about it, SIGTERM starts the time that stopping may take."""
        super().install_signal_handlers()
        signal.signal(signal.SIGTERM, self._told)

    def _told(self, _number: int, _frame: FrameType | None) -> None:
        # Runs between two instructions of the main thread, even if the event loop is held up.
        end_hard(STOPPED_HARD)
        self.loop.call_soon_threadsafe(self._on_sigterm)


def connection_of(settings: Settings) -> Connection:
    """Where Kafka is and how the link is protected."""
    bus, security = settings.bus, settings.bus.security
    if security is None:
        return Connection(bus.bootstrap)
    names = Security.__dataclass_fields__
    return Connection(bus.bootstrap, Security(**{n: getattr(security, n) for n in names}))


async def preflight(settings: Settings) -> Announced:
    """What is on the log of configurations, and what this worker has to say there.

    Raises BusError in one line if the broker or a topic is not there.
    """
    connection = connection_of(settings)
    await check_reachable(connection)
    bus = settings.bus
    await require(connection, plans(bus.topics, bus.partitions, bus.replication))
    producer = Producer(connection, SystemClock(), patience_s=30)
    await producer.start()
    try:
        topic = bus.topics["configurations"]
        return await settle(connection, topic, configured.own(settings), producer)
    finally:
        await producer.stop()


def free_port(bind: str) -> int:
    """A port of this address that nobody listens on; Faust does not take 0 for one."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.create_server((bind, 0), family=family) as found:
        return int(found.getsockname()[1])


def build(settings: Settings, announced: Announced) -> App:
    """The worker's app, with agents, lanes and pages; starts nothing."""
    bus, connection, clock = settings.bus, connection_of(settings), SystemClock()
    app = App(
        bus.group_prefix,
        broker="kafka://unused",
        store="memory://",
        datadir=None,
        web_bind=settings.web.bind,
        web_host=settings.web.bind,
        web_port=settings.web.port or free_port(settings.web.bind),
        stream_wait_empty=False,
        worker_redirect_stdouts=False,
        table_standby_replicas=0,
        web_tables_enabled=False,
        web_router_enabled=False,
    )
    app.finalize()
    configs = configured.configurations(settings, announced.found)
    store = ReferenceStore(connection, bus.topics["references"], configs.time)
    store.files = {model: read_file(path) for model, path in settings.references.items()}
    detector = Detector(configs, store.get)
    read_spec = configured.reader(settings)

    def take(announcement: Announcement) -> None:
        if (change := follow(configs, announcement, read_spec)) is not None:
            app.say(change.said())

    log = ConfigurationLog(
        connection, bus.topics["configurations"], next_offset=announced.next_offset, take=take
    )
    metrics, recent = Metrics(), Recent()
    partials, verdicts = Producer(connection, clock), Producer(connection, clock)
    states = StateStore(connection, verdicts, bus.topics["judge-state"])
    ingest_channel, judge_channel = app.channel(maxsize=1), app.channel(maxsize=1)
    ingest = Lane(
        LaneSpec(
            topic=bus.topics["predictions"],
            group=f"{bus.group_prefix}-ingest",
            idle_timeout_ms=configs.time.idle_timeout_ms,
            is_raw=True,
            session_timeout_ms=bus.session_timeout_ms,
            instance_id=bus.group_instance_id,
        ),
        connection,
        ingest_channel,
        clock,
    )
    judge = Lane(
        LaneSpec(
            topic=bus.topics["partials"],
            group=f"{bus.group_prefix}-judge",
            session_timeout_ms=bus.session_timeout_ms,
            instance_id=bus.group_instance_id,
        ),
        connection,
        judge_channel,
        clock,
    )
    counts = IngestAgent(detector, partials, bus.topics, metrics, clock)
    judges = JudgeAgent(detector, verdicts, bus.topics, metrics, recent, states, clock)
    attach(app, ingest_channel, counts, ingest, log)
    attach(app, judge_channel, judges, judge, log)
    hub = Bus(app, [store, log], [partials, verdicts], [ingest, judge])
    health = Health(bus.exit_after_ms)
    watch = Watch(app, [ingest, judge], [partials, verdicts], health, metrics, clock)
    app.service(type("BusService", (_Hosted,), {"hosted": [hub, watch]}))
    app.pages = pages(
        metrics, recent, health=lambda: _health(app, health), ready=lambda: _ready([ingest, judge])
    )
    return app


class _Hosted(Service):
    """Lets the app start services that are already made."""

    abstract = False
    hosted: Sequence[Service]

    async def on_start(self) -> None:
        for service in self.hosted:
            await self.add_runtime_dependency(service)


class _News(logging.Filter):
    """Says a thing once in a while: while a broker is away aiokafka says it ten times a second."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._said_ms: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        text, now_ms = record.getMessage(), self._clock.monotonic_ms()
        # A new cluster has no coordinator for a moment; aiokafka asks again and calls it an error.
        if "GroupCoordinatorNotAvailable" in text:
            return False
        if now_ms - self._said_ms.get(text, -SAY_AGAIN_MS) < SAY_AGAIN_MS:
            return False
        if len(self._said_ms) > MOST_TEXTS:
            self._said_ms.clear()
        self._said_ms[text] = now_ms
        return True


def _health(app: App, health: Health) -> tuple[bool, dict[str, Any]]:
    if app.crashed:
        return False, {"status": "failed", "why": [repr(app.crash_reason)]}
    return health.probe()


def _ready(lanes: list[Lane]) -> tuple[bool, dict[str, Any]]:
    assigned = {lane.spec.topic: lane.assigned for lane in lanes}
    return all(assigned.values()), {"assigned": assigned}


def run(settings: Settings, *, loglevel: str = "warn", say: Say = _silent) -> int:
    """Run a worker until it is told to stop. Returns the exit code.

    say  is told where the worker answers once it has joined its groups

    Raises BusError in one line if the broker or a topic is not there, or what ended the worker.
    """
    announced = asyncio.run(preflight(settings))
    for line in configured.notes(settings, announced.found):
        say(line)
    warmup.compile_all()
    app = build(settings, announced)
    app.say = say
    worker = Worker(app, loglevel=loglevel, quiet=True)
    worker.spinner = None  # it hides the terminal's cursor, in logs too
    for name in TALKATIVE:
        logging.getLogger(name).addFilter(_News(SystemClock()))
    keep_what_there_is()
    try:
        worker.execute_from_commandline()
    except SystemExit as stop:
        if not app.crashed:
            return int(stop.code or 0)
    if isinstance(app.crash_reason, DriftlineError):
        raise app.crash_reason  # the command says it in one line and ends with its exit code
    return exit_code_of(app)

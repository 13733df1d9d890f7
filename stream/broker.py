"""Broker: a data folder in, a running Apache Kafka on this machine out.

In    a data folder and a port, or neither; Java 17 or newer, and Maven the first time
Out   one Kafka node (KRaft, broker and controller in one) on 127.0.0.1, which ends with its parent
Not   finding Java and the jars (kafka/install.py); topics (bus/topics.py); a Kafka for production
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from stream.clock import SystemClock
from stream.errors import BusError
from stream.kafka.install import FILES, Say, complaint, find_java, install, kafka_version, silent

READY_S = 60.0  # from launch to the first answer; 2-3 s are usual, 8 s after a SIGKILL
LISTS = ("listeners", "advertised.listeners", "listener.security.protocol.map")
STOP_S = 30.0  # the keeper needs at most its own grace of 10 s


class EmbeddedBroker:
    """One Kafka node as a child process; a context manager.

    data_dir   None is a temporary folder, removed by `stop`
    port       None is a free one, kept over restarts
    durable    every record is on disk before it is acknowledged; for tests that stop the machine
    settings   server properties that override ours; `LISTS` are added to ours
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        port: int | None = None,
        *,
        durable: bool = False,
        settings: Mapping[str, str] | None = None,
        say: Say = silent,
    ) -> None:
        self._data_dir = data_dir.absolute() if data_dir else None
        self._is_temporary = data_dir is None
        self._is_port_open = port is None  # to choice, until the first start has told clients
        self._port = port or free_port()
        self._controller_port = free_port()
        self._settings = {"log.flush.interval.messages": "1"} if durable else {}
        self._settings.update(settings or {})
        self._say = say
        self._keeper: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self.pid: int | None = None  # of the Java process, once started

    @property
    def bootstrap(self) -> str:
        """Address for clients."""
        return f"127.0.0.1:{self._port}"

    @property
    def data_dir(self) -> Path:
        """The data folder; a temporary one is made when first asked for."""
        if self._data_dir is None:
            self._data_dir = Path(tempfile.mkdtemp(prefix="driftline-kafka-"))
        return self._data_dir

    @property
    def log_file(self) -> Path:
        """Everything Kafka and Java say."""
        return self.data_dir / "broker.log"

    @property
    def is_running(self) -> bool:
        """Whether the process is there; it may still be starting."""
        return self._keeper is not None and self._keeper.poll() is None

    def start(self) -> None:
        """Start and wait until clients are answered; nothing if it runs already.

        Raises SetupError if Java or Maven is missing, BusError if Kafka does not come up.
        """
        if self.is_running:
            return
        self._end(b"s")  # what is left of one that ended by itself
        java, libs = find_java(), install(self._say)
        if not self._is_port_open and is_taken(self._port):
            raise BusError(f"port {self._port} on 127.0.0.1 is taken: choose another one")
        try:
            self._start_with(java, libs)
        except BaseException:
            self.stop()
            raise
        self._is_port_open = False

    def stop(self) -> None:
        """Stop cleanly, and remove a temporary data folder."""
        self._end(b"s")
        if self._is_temporary and self._data_dir is not None:
            shutil.rmtree(self._data_dir, ignore_errors=True)
            self._data_dir = None

    def kill(self) -> None:
        """End it by SIGKILL; the data stay, `start` continues with them."""
        self._end(b"k")

    def restart(self) -> None:
        """Stop cleanly if it runs, and start on the same data and ports."""
        self._end(b"s")
        self.start()

    def __enter__(self) -> EmbeddedBroker:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start_with(self, java: str, libs: Path) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._claim(log)
            self._write_properties()
            self._format(java, libs)
            self._launch(java, libs, log)
            try:
                self._wait_until_ready()
            except BusError:
                in_use = "Address already in use" in self._log_of_this_start()
                if not (self._is_port_open and in_use):
                    raise
                # Someone took a port between our look and Kafka's bind: rare, so once is enough.
                self._port, self._controller_port = free_port(), free_port()
                self._write_properties()
                self._launch(java, libs, log)
                self._wait_until_ready()

    def _claim(self, log: IO[bytes]) -> None:
        """Own the data folder until the last process that has the log open has ended.

        Kafka's own lock comes too late: by then a second controller has written to the metadata.
        """
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusError(f"{self.data_dir} is in use by another broker: stop it first") from None

    def _write_properties(self) -> None:
        properties = server_properties(self._port, self._controller_port, self.data_dir / "logs")
        for key, value in self._settings.items():
            properties[key] = f"{properties[key]},{value}" if key in LISTS else value
        lines = [f"{key}={value}" for key, value in properties.items()]
        (self.data_dir / "server.properties").write_text("\n".join(lines) + "\n")

    def _format(self, java: str, libs: Path) -> None:
        if (self.data_dir / "logs" / "meta.properties").exists():
            return
        # One in 64 would begin with "-", which the tool takes for an option.
        cluster_id = "D" + urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster_id]
        config = ["-c", str(self.data_dir / "server.properties")]
        command = [java, *java_options(libs), *tool, *config]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BusError(f"Kafka cannot format {self.data_dir}: {complaint(done.stderr)}")

    def _launch(self, java: str, libs: Path, log: IO[bytes]) -> None:
        kafka = [java, "-Xmx512m", *java_options(libs), "kafka.Kafka", "server.properties"]
        doomed = str(self.data_dir) if self._is_temporary else ""
        keeper = [sys.executable, "-I", "-S", str(FILES / "keeper.py"), str(os.getpid()), doomed]
        self._log_start = os.fstat(log.fileno()).st_size
        # A session of its own: Ctrl-C on our terminal is ours to answer, in order.
        self._keeper = subprocess.Popen(
            [*keeper, *kafka],
            bufsize=0,
            cwd=self.data_dir,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        with self._keeper.stdout as lines:
            self.pid = int(lines.readline() or 0) or None

    def _wait_until_ready(self) -> None:
        assert self._keeper is not None
        clock = SystemClock()
        start_ms = clock.monotonic_ms()
        while not answers(self._port):
            waited_ms = clock.monotonic_ms() - start_ms
            if not self.is_running or waited_ms > READY_S * 1000:
                what = "no answer" if self.is_running else "it ended"
                log = self._log_of_this_start()
                self._end(b"k")
                after = f"{what} after {waited_ms / 1000:.0f} s"
                raise BusError(f"Kafka did not start ({after}): {complaint(log)}\n{tail(log)}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._keeper.wait(0.05)

    def _log_of_this_start(self) -> str:
        with self.log_file.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _end(self, order: bytes) -> None:
        keeper, self._keeper, self.pid = self._keeper, None, None
        if keeper is None or keeper.stdin is None:
            return
        with keeper.stdin as orders, contextlib.suppress(BrokenPipeError):
            orders.write(order)
        try:
            keeper.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(keeper.pid, signal.SIGKILL)
            keeper.wait()


def run_foreground(data_dir: Path | None, port: int | None, say: Say) -> None:
    """Run a broker until SIGINT or SIGTERM; the main thread only.

    Raises SetupError if Java or Maven is missing, BusError if Kafka does not start or dies.
    """
    asked = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in signals}
    try:
        with EmbeddedBroker(data_dir, port, say=say) as broker:
            say(f"Kafka {kafka_version()} answers at {broker.bootstrap}")
            say(f"data and log in {broker.data_dir}; Ctrl-C stops it")
            while not asked.wait(0.5):
                if not broker.is_running:
                    raise BusError(f"Kafka ended by itself: see {broker.log_file}")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def server_properties(port: int, controller_port: int, logs: Path) -> dict[str, str]:
    """Settings of one node for demos, development and tests; quick to start and to fail over."""
    one_replica = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    replication = {f"{topic}.replication.factor": "1" for topic in one_replica}
    return replication | {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"CLIENT://127.0.0.1:{port}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "CLIENT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(logs),
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # After a SIGKILL the old registration must expire first: 3 s instead of 9 s.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # Topics say how long they keep records. A topic that does not say keeps them: a test that
        # writes records of 2013 must find them, whenever Kafka looks for old ones.
        "log.retention.ms": "-1",
        # The default of 128 MiB would be a quarter of the heap.
        "log.cleaner.dedupe.buffer.size": "16777216",
    }


def java_options(libs: Path) -> list[str]:
    """What every Java process of ours is started with."""
    return [
        # The first compiler and the plain collector only: a start costs 2.2 s of CPU instead of
        # 3.7 s, and the first 400,000 messages half as much as with the defaults.
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-Xshare:auto",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        "-Djava.net.preferIPv4Stack=true",
        f"-Dlog4j2.configurationFile={FILES / 'log4j2.properties'}",
        "-cp",
        f"{libs}/*",
    ]


def tail(log: str) -> str:
    """The end of a log, without the course of an orderly end and where in Kafka's source it was."""
    lines = log.splitlines()
    said = [line for line in lines if " INFO " not in line and not line.startswith("\tat ")]
    return "\n".join((said or lines)[-15:])


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on.

    Below the range systems give to outgoing connections, which is where binding to port 0 leads:
    a client that keeps calling a dead broker there can be given the broker's own port and connect
    to itself, and the broker cannot come back.
    """
    for port in random.sample(range(20_000, 32_768), 200):
        if not is_taken(port):
            return port
    raise BusError("no free port between 20000 and 32767 on 127.0.0.1")


def is_taken(port: int) -> bool:
    """Whether someone listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        # As Kafka binds: connections that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def answers(port: int) -> bool:
    """Whether Kafka answers here and lists a broker, that is, is no longer fenced off."""
    token, client = 0x0D1F7, b"driftline"
    body = struct.pack(">hhih", 3, 1, token, len(client)) + client + struct.pack(">i", 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as link:
            link.sendall(struct.pack(">i", len(body)) + body)
            head = link.recv(12, socket.MSG_WAITALL)
    except OSError:
        return False
    if len(head) < 12:
        return False
    # So begins an answer to Metadata, version 1.
    _length, echo, brokers = struct.unpack(">iii", head)
    return bool(echo == token and brokers > 0)

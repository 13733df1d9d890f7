"""Bus: what an event costs a worker that reads it from Kafka, beside what else reads Kafka.

In    nothing; an embedded Kafka with a backlog of generated events (workloads.py)
Out   rows: name, ours and peer (medians, events per CPU-second of the process), ratio with its
      spread, unit, runs
Not   other shapes of messages (bench_shapes.py), latency (bench_latency.py); the broker's own cost,
      which is the same for all

In each run all programs take their turn one after the other, so that all see the same machine. A
peer that cannot be installed is left out, with the reason.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import backlog, peers, worker
from benchmarks.measuring import Row, alone, compared
from benchmarks.processes import Program, events_per_cpu_second
from stream.broker import EmbeddedBroker
from stream.errors import SetupError

UNIT = "events per CPU-second"
SPARSE_SHARE = 2  # of the events are enough where there are fewer in a pane


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that reads the backlog.

    row      the name of the comparison
    module   benchmarks.peer_…
    share    of the events that it reads: a slow one would need minutes for all
    passes   over the topic: a fast one would be done too soon
    is_apart whether it runs in the environment of peers.py
    """

    row: str
    module: str
    share: float = 1.0
    passes: int = 1
    is_apart: bool = False


PEERS = (
    Peer("pipeline/json/vs_textbook_faust", "faust", share=0.015),
    Peer("pipeline/json/vs_faust_take_1000", "faust_take", share=0.015),
    Peer("pipeline/json/vs_quixstreams", "quixstreams", share=0.05, is_apart=True),
    Peer("pipeline/json/vs_bytewax", "bytewax", share=0.05, is_apart=True),
    Peer("pipeline/json/vs_whylogs", "whylogs", share=0.025, is_apart=True),
    Peer("pipeline/json/vs_aiokafka_getmany", "getmany", passes=2),
    Peer("pipeline/json/vs_librdkafka_consume", "librdkafka", passes=2),
)


def rows(quick: bool = False) -> list[Row]:
    """One row per peer, from the same runs."""
    runs, events = (1, 200_000) if quick else (3, 4_000_000)
    sparse: list[float] = []
    pairs: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="driftline-bench-") as name:
        folder = Path(name)
        with EmbeddedBroker(say=print) as broker:
            worker.write_reference(folder)
            for topic, share in ((backlog.JSON, 1), (backlog.SPARSE, SPARSE_SHARE)):
                print(f"  publishing {events // share:,} events on {topic} …", flush=True)
                backlog.create_topics(broker.bootstrap, topic)
                backlog.publish(broker.bootstrap, topic, events // share)
            for at in range(runs):
                run = _Run(folder, broker.bootstrap, events, at)
                ours = run.ours(backlog.JSON, events)
                sparse.append(run.ours(backlog.SPARSE, events // SPARSE_SHARE))
                for peer in PEERS:
                    rate = run.peer(peer)
                    if rate is not None:
                        pairs.setdefault(peer.row, []).append((ours, rate))
    found = [compared(row, measured, UNIT) for row, measured in pairs.items()]
    return [*found, alone("pipeline/json/sparse", sparse, UNIT)]


@dataclass(frozen=True, slots=True)
class _Run:
    """One turn of every program."""

    folder: Path
    bootstrap: str
    events: int
    at: int

    def ours(self, topic: str, events: int) -> float:
        """Events per CPU-second of a worker."""
        name = f"worker-{topic}-{self.at}"
        program = worker.program(self.folder, self.bootstrap, topic, name, events)
        return self._measured(f"ours-{topic}", program, events)

    def peer(self, peer: Peer) -> float | None:
        """Events per CPU-second of a peer; None if it cannot be installed."""
        last = str(self.events) if peer.passes > 1 else str(self.folder)
        group = f"{peer.module}-{self.at}"
        words = (
            f"benchmarks.peer_{peer.module}",
            self.bootstrap,
            backlog.JSON,
            group,
            "PORT",
            last,
        )
        program = Program(words, "events_total ")
        if peer.is_apart:
            try:
                program = Program(words, "events_total ", python=str(peers.python()))
            except SetupError as error:
                print(f"  {peer.module}: {error}", flush=True)
                return None
        return self._measured(peer.module, program, int(self.events * peer.share * peer.passes))

    def _measured(self, name: str, program: Program, target: int) -> float:
        rate = events_per_cpu_second(program, target, self.folder / f"{name}-{self.at}.log")
        print(f"  run {self.at + 1}: {name} {rate:,.0f}", flush=True)
        return rate


if __name__ == "__main__":
    for row in rows():
        print(row)

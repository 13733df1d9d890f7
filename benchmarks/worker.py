"""Worker: a topic of predictions in, the command that measures a Driftline worker on it out.

In    a folder, a broker, a topic, a name that no other run has
Out   the program; beside it in the folder its configuration and the reference this names
Not   running it (processes.py), filling the topic (backlog.py)
"""

from __future__ import annotations

from pathlib import Path

import orjson

from benchmarks import backlog, workloads
from benchmarks.processes import Program
from stream.bus.reference_store import to_bytes

LENGTH_S, PANE_S, GRACE_S = 10, 10, 5
SLACK_S = 2  # the last event of a partition may be that much older than the last of all
TRAINING = 10_000  # events
# A later worker would else read the partials of an earlier one as well.
OWN_TOPICS = (
    "labels",
    "partials",
    "windows",
    "alerts",
    "dead-letters",
    "judge-state",
    "configurations",
)


def program(folder: Path, bootstrap: str, topic: str, name: str, events: int) -> Program:
    """A worker for this many events of the topic, with a group and topics of its own."""
    path = folder / f"{name}.yaml"
    path.write_bytes(orjson.dumps(_configuration(bootstrap, topic, name)))  # JSON is YAML too
    backlog.create_topics(bootstrap, topic, path)
    words = ("stream", "worker", "-c", str(path), "--web-port", "PORT")
    return Program(words, "driftline_events_total{", windows_of(events, topic))


def _configuration(bootstrap: str, topic: str, name: str) -> dict[str, object]:
    topics = {"predictions": topic} | {logical: f"{name}-{logical}" for logical in OWN_TOPICS}
    reference = {"training": "reference.json"}
    return {
        "bus": {"bootstrap": bootstrap, "group_prefix": name, "topics": topics},
        "window": {"length": f"{LENGTH_S}s", "pane": f"{PANE_S}s", "grace": f"{GRACE_S}s"},
        "models": {workloads.MODEL: {"kind": "binary", "reference": reference}},
    }


def windows_of(events: int, topic: str = backlog.JSON) -> int:
    """How many windows these events complete, the grace having passed on every partition."""
    per_minute = backlog.PER_MINUTE.get(topic, workloads.EVENTS_PER_MINUTE)
    watermark_s = events * 60 / per_minute - GRACE_S - SLACK_S
    return max(0, int(watermark_s // LENGTH_S))


def write_reference(folder: Path) -> None:
    """The reference of the configuration: other events of the same kind."""
    training = [e for events in workloads.chunks(TRAINING, seed=2) for e in events]
    values = workloads.singles(training)
    reference = workloads.reference_of(values, workloads.MODEL, workloads.VERSION)
    (folder / "reference.json").write_bytes(to_bytes(reference))

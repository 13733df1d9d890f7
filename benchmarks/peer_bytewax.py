"""Peer: Bytewax with the running statistics of the textbook Faust agent.

In    bootstrap, topic, group, port, folder (arguments of the program)
Out   statistics, for nobody; the number of events on /metrics
Not   windows, references, alerts
"""

from __future__ import annotations

import sys
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSource
from bytewax.connectors.stdio import StdOutSink
from bytewax.dataflow import Dataflow
from bytewax.testing import cluster_main

from benchmarks.peer_statistics import Statistics, serve

BATCH = 1_000

if __name__ == "__main__":
    address, source, _, web_port, _ = sys.argv[1:]
    statistics = Statistics()
    serve(statistics, int(web_port))

    def counted(message: Any) -> bool:
        """Count an event; nothing goes on."""
        statistics.add(orjson.loads(message.value)["features"])
        return False

    flow = Dataflow("count")
    messages = op.input("in", flow, KafkaSource([address], [source], batch_size=BATCH))
    op.output("out", op.filter("count", messages, counted), StdOutSink())
    cluster_main(flow, [], 0)

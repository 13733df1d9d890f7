"""Peer: whylogs on micro-batches of ten thousand events, as pandas frames.

In    bootstrap, topic, group, port, folder (arguments of the program)
Out   a merged profile, for nobody; the number of events on /metrics
Not   windows, references, alerts
"""

from __future__ import annotations

import os
import sys

os.environ["WHYLOGS_NO_ANALYTICS"] = "True"

import orjson
import pandas as pd
import whylogs
from confluent_kafka import Consumer

from benchmarks.peer_statistics import Statistics, serve

BATCH = 10_000

if __name__ == "__main__":
    address, source, group, web_port, _ = sys.argv[1:]
    statistics = Statistics()
    serve(statistics, int(web_port))
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": group, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([source])
    profile, waiting = None, []
    while True:
        waiting += [orjson.loads(m.value())["features"] for m in consumer.consume(1_000, 0.1)]
        if len(waiting) >= BATCH:
            view = whylogs.log(pd.DataFrame(waiting)).view()
            profile = profile.merge(view) if profile else view
            statistics.events += len(waiting)
            waiting = []

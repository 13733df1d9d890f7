"""Peer: Quix Streams with the running statistics of the textbook Faust agent.

In    bootstrap, topic, group, port, folder (arguments of the program)
Out   statistics, for nobody; the number of events on /metrics
Not   windows, references, alerts
"""

from __future__ import annotations

import sys

from quixstreams import Application

from benchmarks.peer_statistics import Statistics, serve

if __name__ == "__main__":
    address, source, group, web_port, folder = sys.argv[1:]
    statistics = Statistics()
    serve(statistics, int(web_port))
    app = Application(
        broker_address=address,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=folder,
        loglevel="WARNING",
    )
    events = app.dataframe(app.topic(source, value_deserializer="json"))
    events.update(lambda event: statistics.add(event["features"]))
    app.run()

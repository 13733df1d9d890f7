"""Peer: librdkafka's `consume`, which throws the bytes away; the topic is read again and again.

In    bootstrap, topic, group, port, events on the topic (arguments of the program)
Out   the number of messages so far on /metrics
Not   decoding, counting anything: what the client alone costs, its threads among it
"""

from __future__ import annotations

import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from benchmarks.peer_statistics import Statistics, serve

AT_ONCE = 500

if __name__ == "__main__":
    address, source, group, web_port, on_topic = sys.argv[1:]
    statistics = Statistics()
    serve(statistics, int(web_port))
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": group, "enable.auto.commit": False}
    )
    partitions = consumer.list_topics(source).topics[source].partitions
    while True:
        consumer.assign([TopicPartition(source, p, OFFSET_BEGINNING) for p in partitions])
        this_pass = 0
        while this_pass < int(on_topic):
            values = [message.value() for message in consumer.consume(AT_ONCE, 0.1)]
            this_pass += len(values)
            statistics.events += len(values)
